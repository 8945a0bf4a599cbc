"""The edge's settings."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from shared.cpus import available_cpus
from shared.settings import CommonSettings, Port, Seconds, StringList

MIB = 1024 * 1024

BodyBytes = Annotated[int, Field(gt=0, le=48 * MIB)]
"""What fits in one frame to a worker with room to spare."""

ImageBytes = Annotated[int, Field(gt=0, le=32 * MIB)]
"""No more than all images of a request may have together."""

SPEECH_KINDS = frozenset({"tts", "stt"})
"""Of the models of the catalogue, those that work with sound."""


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
    edge_image_limit_bytes: ImageBytes = Field(
        default=10 * MIB, description="Largest image of a chat message; 400 above it"
    )
    edge_key_cache_seconds: Seconds = Field(
        default=1.0, description="How long a key's state is kept in memory: a revoked key stops within it"
    )

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
    def soft_limit(self) -> int:
        """From how many requests in one model on other edges had better take them."""
        return self.edge_soft_limit or max(1, self.edge_queue // 2)
