"""The edge's settings."""

from decimal import Decimal
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, model_validator

from shared.cpus import available_cpus
from shared.settings import ByteCount, CommonSettings, Port, Seconds, StringList, split_list

MIB = 1024 * 1024

BodyBytes = Annotated[int, Field(gt=0, le=48 * MIB)]
"""What fits in one frame to a worker with room to spare."""

ImageBytes = Annotated[int, Field(gt=0, le=32 * MIB)]
"""No more than all images of a request may have together."""

SPEECH_KINDS = frozenset({"tts", "stt"})
"""Of the models of the catalogue, those that work with sound."""


def _is_postgresql(url: SecretStr) -> SecretStr:
    if not url.get_secret_value().startswith(POSTGRESQL):
        raise ValueError(f"must begin with {POSTGRESQL[0]}")
    return url


POSTGRESQL = ("postgresql://", "postgres://")


def _is_valkey(url: SecretStr) -> SecretStr:
    if not url.get_secret_value().startswith(VALKEY):
        raise ValueError(f"must begin with {VALKEY[0]}, {VALKEY[1]} or {VALKEY[2]}")
    return url


VALKEY = ("redis://", "rediss://", "unix://")


def _is_no_open_url(source: str) -> str:
    parts = urlsplit(source)
    if parts.scheme == "http" and parts.hostname not in {"127.0.0.1", "::1", "localhost"}:
        raise ValueError("must be an https URL, for whoever changes it on its way makes keys")
    return source


JwksSource = Annotated[str, AfterValidator(_is_no_open_url)]
ScopeName = Literal["inference", "read", "keys", "superadmin"]
ScopeList = Annotated[tuple[ScopeName, ...], BeforeValidator(split_list)]
DatabaseUrl = Annotated[SecretStr, AfterValidator(_is_postgresql)]
ValkeyUrl = Annotated[SecretStr, AfterValidator(_is_valkey)]


class EdgeSettings(CommonSettings):
    edge_region: str = Field(default="yto-01", description="Id of the region that this edge serves")
    edge_host: str = Field(default="127.0.0.1", description="Address that the edge binds")
    edge_port: Port = Field(default=8081, description="Port that the edge binds; 0 picks one")
    edge_models: StringList = Field(
        default=("smollm2-135m-instruct", "all-minilm-l6-v2", "kokoro-82m", "whisper-tiny.en"),
        description="Models of the catalogue that the edge loads at start",
    )
    edge_threads: Annotated[int, Field(ge=0)] = Field(
        default=0, description="CPU threads of each model; 0 takes every core that the process may use"
    )
    edge_tts_threads: Annotated[int, Field(ge=0)] = Field(
        default=0, description="CPU threads of each model that speaks; 0 takes as many as edge_threads"
    )
    edge_stt_threads: Annotated[int, Field(ge=0)] = Field(
        default=0, description="CPU threads of each model that transcribes; 0 takes as many as edge_threads"
    )
    edge_speech_nice: Annotated[int, Field(ge=0, le=19)] = Field(
        default=2,
        description="How far models that speak or transcribe give way to the others where cores are short, "
        "in nice levels; with 0 all get the same",
    )
    edge_queue: Annotated[int, Field(ge=1)] = Field(
        default=64, description="Requests that one model holds, running and waiting; 503 above it"
    )
    edge_soft_limit: Annotated[int, Field(ge=0)] = Field(
        default=0,
        description="Requests in one model from which on the autorouter prefers other edges; 0 is half of "
        "edge_queue",
    )
    edge_slots: Annotated[int, Field(ge=0, le=256)] = Field(
        default=0,
        description="Requests that a language model answers at once; 0 takes up to 16, as memory allows",
    )
    edge_kv: Literal["auto", "separate", "shared"] = Field(
        default="auto",
        description="KV cache of a language model: separate for each request, with answers that never depend "
        "on others, or one shared by all, which takes less memory; auto is separate where memory allows",
    )
    edge_step_ms: Annotated[int, Field(ge=10, le=10_000)] = Field(
        default=200,
        description="How long reading other prompts may keep a stream from its next token, in milliseconds",
    )
    edge_worker_start_seconds: Seconds = Field(
        default=120.0, description="How long a model may take to load before its worker is given up"
    )
    edge_load_wait_seconds: Seconds = Field(
        default=20.0,
        description="How long a call to load or unload a model waits for it; what takes longer goes on",
    )
    edge_pull_seconds: Seconds = Field(
        default=3600.0, description="How long fetching a model's files may take before its load is given up"
    )
    edge_memory_spare_bytes: Annotated[int, Field(ge=0)] = Field(
        default=128 * MIB, description="Memory that the load of a model must leave free"
    )
    edge_body_limit_bytes: BodyBytes = Field(default=4 * MIB, description="Largest JSON body; 413 above it")
    edge_audio_limit_bytes: BodyBytes = Field(
        default=25 * MIB, description="Largest audio upload; 413 above it"
    )
    edge_audio_limit_minutes: Annotated[float, Field(gt=0, le=24 * 60, allow_inf_nan=False)] = Field(
        default=60.0, description="Longest recording that is transcribed; 400 above it"
    )
    edge_jobs: Annotated[int, Field(ge=1)] = Field(
        default=100,
        description="Transcription jobs that run or wait; 503 above it, and above half of it for one caller",
    )
    edge_jobs_running: Annotated[int, Field(ge=1)] = Field(
        default=4,
        description="How many of them run at a time; they share their model's turns with other requests",
    )
    edge_job_audio_bytes: Annotated[int, Field(ge=1)] = Field(
        default=1024 * MIB, description="Disk space that the recordings of jobs may take; 503 above it"
    )
    edge_job_keep_seconds: Annotated[Seconds, Field(gt=0)] = Field(
        default=86_400.0, description="How long a job and its transcript are kept after its end"
    )
    edge_image_limit_bytes: ImageBytes = Field(
        default=10 * MIB, description="Largest image of a chat message; 400 above it"
    )
    edge_key_cache_seconds: Seconds = Field(
        default=1.0,
        description="How long a key's state is kept in memory: a revoked key stops within it, in a fleet "
        "after the edge has heard of it",
    )
    database_url: DatabaseUrl | None = Field(
        default=None,
        description="PostgreSQL database that the edges of a fleet share, "
        "`postgresql://user:password@host:5432/name`; without it the node's own file holds all",
    )
    edge_fleet_poll_seconds: Annotated[Seconds, Field(gt=0)] = Field(
        default=1.0, description="How often an edge asks that database which keys and tenants have changed"
    )
    edge_fleet_stale_seconds: Seconds = Field(
        default=86400.0,
        description="How long an edge serves the keys that it knows while that database cannot be reached; "
        "503 after it",
    )
    jwt_issuer: str | None = Field(
        default=None,
        description="Issuer (`iss`) of session tokens (JWT) that are accepted where an API key is; none when "
        "unset",
    )
    jwt_jwks: JwksSource | None = Field(
        default=None,
        description="Its public keys (JWKS): an https URL, or the path of a file",
    )
    jwt_audience: StringList = Field(
        default=(), description="Audiences (`aud`) of which a token must name one; not looked at when empty"
    )
    jwt_tenant_claim: str = Field(default="tenant", description="Claim that holds the tenant's id")
    jwt_scope_claim: str = Field(
        default="scope", description="Claim that holds the scopes, a list or joined by spaces"
    )
    jwt_scopes: ScopeList = Field(
        default=("inference", "read", "keys"),
        description="Scopes that a token may have; others in it do not count",
    )
    jwt_default_tenant: str | None = Field(
        default=None, description="Tenant of tokens without that claim; they are refused when unset"
    )
    jwt_default_scopes: ScopeList = Field(
        default=("inference", "keys"), description="Scopes of tokens without that claim"
    )

    edge_prices_file: Path | None = Field(
        default=None,
        description="YAML file of prices, `{model: {input_per_million: 0.2}}`, in place of the catalogue's",
    )
    edge_credit_lease: Annotated[Decimal, Field(gt=0, le=1_000_000)] = Field(
        default=Decimal(1),
        description="Credits of a prepaid tenant, in units of the currency, that an edge takes from his "
        "balance at once, so that calls need not wait for it; at most a quarter of it beyond what one needs, "
        "and a sixteenth before any call",
    )
    edge_credit_lease_seconds: Annotated[float, Field(ge=10, le=86_400)] = Field(
        default=300.0,
        description="How long an edge may spend them without reaching the database; a minute later they go "
        "back if the edge has died",
    )
    edge_usage_event_days: Annotated[float, Field(ge=1, le=3650)] = Field(
        default=30.0,
        description="How long the record of each call is kept; the sums by day stay for good",
    )
    edge_requests_per_minute: Annotated[int, Field(ge=0)] = Field(
        default=100,
        description="Inference requests that a key may send in a minute if no limit of its own is set, and "
        "wrong keys that an address may; 429 above it; 0 is without limit",
    )
    valkey_url: ValkeyUrl | None = Field(
        default=None,
        description="Valkey or Redis in which edges count together against limits, "
        "`redis://user:password@host:6379/0`; without it each edge counts alone",
    )
    valkey_timeout_ms: Annotated[int, Field(ge=1, le=5_000)] = Field(
        default=100,
        description="How long a request waits for it, in milliseconds, before its edge counts alone",
    )
    edge_request_id_seconds: Annotated[Seconds, Field(le=86_400)] = Field(
        default=300.0,
        description="How long the same X-Request-ID of polargrid-sdk's form with the same JSON body by the "
        "same key is taken for the same request, and answered with what the first was; 0 is never",
    )
    edge_replay_limit_bytes: Annotated[int, Field(ge=0, le=64 * MIB)] = Field(
        default=16 * MIB, description="Largest answer that is kept for repeats of its request"
    )
    edge_replays_limit_bytes: ByteCount = Field(
        default=1024 * MIB,
        description="Most that all such answers take in a database; the oldest are dropped above it",
    )

    @model_validator(mode="after")
    def _jwt_is_whole(self) -> Self:
        if (self.jwt_issuer is None) != (self.jwt_jwks is None):
            raise ValueError("NEAREDGE_JWT_ISSUER and NEAREDGE_JWT_JWKS must be set together")
        return self

    @model_validator(mode="after")
    def _soft_limit_is_within_the_queue(self) -> Self:
        if self.edge_soft_limit > self.edge_queue:
            raise ValueError("NEAREDGE_EDGE_SOFT_LIMIT must not be above NEAREDGE_EDGE_QUEUE")
        return self

    def threads(self, kind: str) -> int:
        """Return with how many CPU threads a model of this *kind* of the catalogue computes."""
        own = {"tts": self.edge_tts_threads, "stt": self.edge_stt_threads}.get(kind, 0)
        return own or self.edge_threads or available_cpus()

    def nice(self, kind: str) -> int:
        """Return by how many nice levels a model of this *kind* gives way to the others."""
        return self.edge_speech_nice if kind in SPEECH_KINDS else 0

    @property
    def fleet_url(self) -> str | None:
        """URL of the fleet's database, with its password; None on a node of its own."""
        return self.database_url.get_secret_value() if self.database_url is not None else None

    @property
    def soft_limit(self) -> int:
        """From how many requests in one model on other edges had better take them."""
        return self.edge_soft_limit or max(1, self.edge_queue // 2)
