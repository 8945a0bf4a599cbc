"""What clients get back. The API document is made from these types; handlers build the plain dicts."""

from typing import Any, Literal, NotRequired

from typing_extensions import TypedDict


class ErrorInfo(TypedDict):
    message: str
    type: str
    param: str | None
    code: str | None


class ErrorBody(TypedDict):
    """Every error of every path. ``detail`` says what to change."""

    detail: str
    error: ErrorInfo


class ErrorEvent(TypedDict):
    """The event before ``[DONE]`` when a stream of text breaks off."""

    error: ErrorInfo


class PromptTokensDetails(TypedDict):
    """``cached_tokens`` of the prompt were not computed again: an earlier request began with them."""

    cached_tokens: int


class Usage(TypedDict):
    """Tokens of all choices; those of a prompt that several choices share are counted once."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: PromptTokensDetails


class EmbeddingUsage(TypedDict):
    prompt_tokens: int
    total_tokens: int


class PgMetadata(TypedDict):
    """Where and how fast: the edge's region, and whole milliseconds."""

    region: str
    latency_ms: int
    queue_time_ms: NotRequired[int]
    inference_time_ms: NotRequired[int]


class Routing(TypedDict):
    """``path`` is ``local``: this edge ran the model. ``provider`` is its region."""

    path: Literal["local"]
    provider: str


FinishReason = Literal["stop", "length", "tool_calls"]


class FunctionCall(TypedDict):
    """``arguments`` is a JSON object, as text."""

    name: str
    arguments: str


class ToolCall(TypedDict):
    id: str
    type: Literal["function"]
    function: FunctionCall


class AssistantMessage(TypedDict):
    """``content`` is null when the model only called functions. ``function_call`` repeats the first call when
    the request asked with ``functions``."""

    role: Literal["assistant"]
    content: str | None
    tool_calls: NotRequired[list[ToolCall]]
    function_call: NotRequired[FunctionCall]


class TopLogprob(TypedDict):
    """A token as text, which has replacement characters where its ``bytes`` are not whole characters."""

    token: str
    logprob: float
    bytes: list[int]


class TokenLogprob(TopLogprob):
    top_logprobs: list[TopLogprob]


class ChatLogprobs(TypedDict):
    content: list[TokenLogprob]
    refusal: None


class ChatChoice(TypedDict):
    index: int
    message: AssistantMessage
    logprobs: ChatLogprobs | None
    finish_reason: FinishReason


class ChatCompletion(TypedDict):
    id: str
    object: Literal["chat.completion"]
    created: int
    model: str
    choices: list[ChatChoice]
    usage: Usage
    pg_metadata: PgMetadata
    routing: Routing


class FunctionCallDelta(TypedDict, total=False):
    name: str
    arguments: str


class ToolCallDelta(TypedDict):
    """The first of a call has its ``id``, ``type`` and name; the ``arguments`` of all join to one text."""

    index: int
    id: NotRequired[str]
    type: NotRequired[Literal["function"]]
    function: FunctionCallDelta


class Delta(TypedDict, total=False):
    role: Literal["assistant"]
    content: str
    tool_calls: list[ToolCallDelta]
    function_call: FunctionCallDelta


class ChatChunkChoice(TypedDict):
    index: int
    delta: Delta
    logprobs: NotRequired[ChatLogprobs]
    finish_reason: FinishReason | None


class ChatCompletionChunk(TypedDict):
    """One event of a streamed chat. The last one of a choice has its ``finish_reason``; the last of all
    also ``usage`` and ``pg_metadata``."""

    id: str
    object: Literal["chat.completion.chunk"]
    created: int
    model: str
    choices: list[ChatChunkChoice]
    usage: NotRequired[Usage]
    pg_metadata: NotRequired[PgMetadata]
    routing: NotRequired[Routing]


class TextLogprobs(TypedDict):
    """An element for each token. ``top_logprobs`` always holds the token itself too, and ``text_offset`` is
    where it begins in the choice's text. A token that is not whole characters is written ``bytes:\\xe2``.

    With ``echo`` nothing is known of the first token of the prompt: its elements are null.
    """

    tokens: list[str]
    token_logprobs: list[float | None]
    top_logprobs: list[dict[str, float] | None]
    text_offset: list[int]


class TextChoice(TypedDict):
    text: str
    index: int
    logprobs: TextLogprobs | None
    finish_reason: Literal["stop", "length"] | None


class TextCompletion(TypedDict):
    """Also every event of a streamed completion, whose ``usage`` comes with the last one."""

    id: str
    object: Literal["text_completion"]
    created: int
    model: str
    choices: list[TextChoice]
    usage: NotRequired[Usage]
    pg_metadata: NotRequired[PgMetadata]
    routing: NotRequired[Routing]


class Embedding(TypedDict):
    """``embedding`` is a list of numbers, or base64 of little-endian float32 when that was asked for."""

    object: Literal["embedding"]
    index: int
    embedding: list[float] | str


class EmbeddingList(TypedDict):
    object: Literal["list"]
    data: list[Embedding]
    model: str
    usage: EmbeddingUsage
    pg_metadata: PgMetadata
    routing: Routing


class WeightsInfo(TypedDict):
    """The weight layout that runs, chosen when the model was pulled. ``perplexity_ratio`` compares it with
    the ``published`` file on a fixed text, ``speedup`` the time of a stream with 1 and with 16 at once; both
    are null if the published file itself runs."""

    layout: str
    published: str
    perplexity_ratio: float | None
    speedup: dict[str, float] | None


class TokenPricing(TypedDict):
    """Prices of a thousand tokens, in units of the currency."""

    input_tokens: float
    output_tokens: float
    unit: Literal["per_1k_tokens"]


class Pricing(TypedDict):
    """Prices in units of the currency; what is absent costs nothing."""

    input_per_million: NotRequired[float]
    cached_per_million: NotRequired[float]
    output_per_million: NotRequired[float]
    per_minute: NotRequired[float]
    per_thousand_characters: NotRequired[float]


class ModelInfo(TypedDict):
    id: str
    object: Literal["model"]
    created: int
    owned_by: str
    root: str
    parent: str | None
    permission: list[Any]
    pg_model_type: NotRequired[Literal["chat", "embedding"]]
    pg_parameters: NotRequired[int]
    pg_regions: list[str]
    pg_max_tokens: NotRequired[int]
    pg_quantization: NotRequired[str]
    pg_weights: NotRequired[WeightsInfo]
    pg_pricing: NotRequired[TokenPricing]
    pricing: Pricing
    aliases: list[str]


class ModelList(TypedDict):
    object: Literal["list"]
    data: list[ModelInfo]


class ModelStatus(TypedDict):
    loaded: list[str]
    loading_status: dict[str, Literal["loaded", "loading", "unloaded", "failed"]]
    repository: str


class Features(TypedDict):
    dynamic_loading: bool
    huggingface_support: bool


class BackendInfo(TypedDict):
    name: str
    version: str
    extensions: list[str]


class Backend(TypedDict):
    healthy: bool
    info: BackendInfo


Status = Literal["healthy", "degraded", "unhealthy"]


class Health(TypedDict):
    """``healthy``: every model is loaded; ``degraded``: some are; ``unhealthy``: none, or shutting down."""

    status: Status
    node: str
    region: str
    runtime: str
    version: str
    timestamp: str
    models: dict[str, str]
    features: Features
    backend: Backend
