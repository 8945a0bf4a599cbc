"""What is told of usage and credits. Amounts ``_micro`` are in millionths of the currency's unit, others in
units, ``spend`` in hundredths."""

from typing import Literal, NotRequired

from typing_extensions import TypedDict


class UsagePeriod(TypedDict):
    """UTC days, both included."""

    start_date: str
    end_date: str


class ModelUsage(TypedDict):
    model_id: str
    requests: int
    tokens: int
    cost: float


class RegionUsage(TypedDict):
    region: str
    requests: int
    avg_latency_ms: int


class UsageStats(TypedDict):
    """Of the whole period, whatever page was asked for."""

    total_requests: int
    total_tokens: int
    total_cost: float
    total_errors: int
    total_audio_seconds: float
    total_characters: int
    by_model: list[ModelUsage]
    by_region: list[RegionUsage]


class Percentiles(TypedDict):
    """In milliseconds, within one per cent; null where nothing was measured."""

    p50: float | None
    p95: float | None
    p99: float | None


class UsageData(TypedDict):
    """Calls of one day, model and whatever else the rows were asked to be divided by."""

    date: NotRequired[str]
    model: NotRequired[str]
    adapter: NotRequired[str]
    region: NotRequired[str]
    service: NotRequired[str]
    path: NotRequired[str]
    key_id: NotRequired[str]
    requests: int
    errors: int
    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int
    total_tokens: int
    audio_seconds: float
    characters: int
    cost: float
    cost_micro: int
    latency_ms: Percentiles
    first_byte_ms: Percentiles


class ServiceUsage(TypedDict):
    """``service`` is a part of the API, such as ``chat/completions``."""

    service: str
    requests: int
    spend: int
    cost_micro: int


class UsageAnswer(TypedDict):
    period: UsagePeriod
    usage: UsageStats
    data: list[UsageData]
    by_service: list[ServiceUsage]
    next_cursor: str | None


class LedgerEntry(TypedDict):
    """One change of a tenant's credits."""

    id: str
    at: str
    kind: Literal["grant", "usage"]
    amount_micro: int
    note: str


class CreditsAnswer(TypedDict):
    """``credits_micro`` is what is left; below zero for a tenant who pays later. ``data`` is the ledger, the
    newest entry first."""

    tenant_id: str
    billing: Literal["prepaid", "postpaid", "unmetered"]
    credits: float
    credits_micro: int
    leased_micro: int
    data: list[LedgerEntry]
    next_cursor: str | None


class GrantAnswer(TypedDict):
    tenant_id: str
    entry: LedgerEntry
    credits_micro: int
