"""What clients may send. The same types validate the requests and make the API document."""

from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    model_validator,
)

from edge.engines.audio.formats import FORMATS

MAX_TOKENS = 4096
MAX_STOPS = 4
MAX_CHOICES = 16
MAX_PROMPTS = 64
MAX_INPUTS = 2048
MAX_PROMPT_TOKENS = 262_144
"""Token ids of one prompt or input: the longest context of any model that the published API serves."""
MAX_MESSAGES = 10_000
MAX_PARTS = 1_000
MAX_TOOLS = 128
MAX_NAME_CHARACTERS = 256
MAX_SPEECH_CHARACTERS = 4096
MAX_INT32 = 2**31 - 1
"""What engines take for token ids and counts; JSON knows no bound."""

Temperature = Annotated[float, Field(ge=0, le=2)]
Probability = Annotated[float, Field(ge=0, le=1)]
Penalty = Annotated[float, Field(ge=-2, le=2)]
Natural = Annotated[int, Field(ge=0, le=MAX_INT32)]
TokenIds = Annotated[list[Natural], Field(min_length=1, max_length=MAX_PROMPT_TOKENS, fail_fast=True)]
"""Like every list here it is bounded and ends at its first mistake: a body of a few megabytes could
otherwise make millions of them, and the seconds that they take are everybody's."""
ModelName = Annotated[str, Field(min_length=1, max_length=MAX_NAME_CHARACTERS)]
Tools = Annotated[list[dict[str, Any]], Field(max_length=MAX_TOOLS, fail_fast=True)]


def _listed(value: object) -> object:
    return [value] if isinstance(value, str) else value


Stop = Annotated[
    list[Annotated[str, Field(min_length=1)]],
    Field(max_length=MAX_STOPS, fail_fast=True),
    BeforeValidator(_listed, json_schema_input_type=str | list[str]),
]


def _in_one_sentence(value: object, validate: ValidatorFunctionWrapHandler) -> object:
    try:
        return validate(value)
    except ValidationError:
        # pydantic lists what each of the four members has against the value
        raise ValueError(
            "give a text, token ids from 0 up, or a list of either; none empty, "
            f"no more than {MAX_INPUTS} of them and {MAX_PROMPT_TOKENS} token ids in each"
        ) from None


def _each(texts: str | list[int] | list[str] | list[list[int]]) -> list[str | list[int]]:
    if isinstance(texts, str):
        return [texts]
    tokens = [item for item in texts if isinstance(item, int)]
    return [tokens] if tokens else [item for item in texts if not isinstance(item, int)]


def _none_empty(
    texts: str | list[int] | list[str] | list[list[int]],
) -> str | list[int] | list[str] | list[list[int]]:
    parts = _each(texts)
    if not parts or not all(parts):
        raise ValueError("must not be empty")
    return texts


def _not_blank(text: str) -> str:
    if not text.strip():
        raise ValueError("must not be blank")
    return text


def _a_speech_format(name: str) -> str:
    if name not in FORMATS:
        raise ValueError(f"choose one of {', '.join(FORMATS)}")
    return name


SpeechFormat = Annotated[
    str, AfterValidator(_a_speech_format), Field(json_schema_extra={"enum": list(FORMATS)})
]

Texts = Annotated[
    str
    | TokenIds
    | Annotated[list[str], Field(max_length=MAX_INPUTS, fail_fast=True)]
    | Annotated[list[TokenIds], Field(max_length=MAX_INPUTS, fail_fast=True)],
    AfterValidator(_none_empty),
    WrapValidator(_in_one_sentence),
]
"""Text, token ids, or a list of either."""


class ApiModel(BaseModel):
    """Fields that we do not know are ignored; types are not guessed: ``"12"`` is no number."""

    model_config = ConfigDict(extra="ignore", strict=True, allow_inf_nan=False, protected_namespaces=())


class FormModel(BaseModel):
    """The fields of a query or a form: everything arrives as text."""

    model_config = ConfigDict(extra="ignore", allow_inf_nan=False, protected_namespaces=())


class TextPart(ApiModel):
    type: Literal["text"]
    text: str


class ImageUrl(ApiModel):
    url: str
    detail: str | None = None


class ImagePart(ApiModel):
    type: Literal["image_url"]
    image_url: ImageUrl


Part = Annotated[TextPart | ImagePart, Field(discriminator="type")]


class FunctionCall(ApiModel):
    name: str
    arguments: str


class ToolCall(ApiModel):
    id: str
    type: Literal["function"] = "function"
    function: FunctionCall


class Message(ApiModel):
    """A turn of a chat. ``developer`` is OpenAI's newer name of ``system``.

    Only an assistant may say nothing: clients leave the ``content`` of a turn out that called a tool.
    """

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | Annotated[list[Part], Field(max_length=MAX_PARTS, fail_fast=True)] | None = None
    name: str | None = None
    tool_calls: Annotated[list[ToolCall], Field(max_length=MAX_TOOLS, fail_fast=True)] | None = None
    tool_call_id: str | None = None

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if self.content is None and self.role != "assistant":
            raise ValueError(f"a {self.role} message needs content")
        return self

    @property
    def text(self) -> str:
        """The text of the message, its parts joined by newlines."""
        if isinstance(self.content, list):
            return "\n".join(part.text for part in self.content if isinstance(part, TextPart))
        return self.content or ""

    @property
    def has_image(self) -> bool:
        return isinstance(self.content, list) and any(isinstance(part, ImagePart) for part in self.content)


class StreamOptions(ApiModel):
    include_usage: bool | None = None


class Sampling(ApiModel):
    """What chat and completions have in common. Defaults are OpenAI's."""

    model: ModelName
    max_tokens: Annotated[int, Field(ge=1, le=MAX_TOKENS)] | None = Field(
        default=None, description="Most tokens to make; up to the context that is left when absent"
    )
    temperature: Temperature | None = Field(default=None, description="1.0 when absent; 0 is greedy")
    top_p: Probability | None = Field(default=None, description="1.0 when absent")
    top_k: Natural | None = Field(default=None, description="0 or absent: off")
    min_p: Probability | None = None
    frequency_penalty: Penalty | None = None
    presence_penalty: Penalty | None = None
    repetition_penalty: Annotated[float, Field(gt=0, le=10)] | None = Field(
        default=None, description="1.0 when absent: off"
    )
    seed: int | None = None
    stop: Stop | None = None
    n: Annotated[int, Field(ge=1, le=MAX_CHOICES)] | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    user: str | None = None
    logit_bias: dict[str, Any] | None = Field(default=None, description="Not served yet: 400")


class ResponseFormat(ApiModel):
    type: Literal["text", "json_object", "json_schema"]
    json_schema: dict[str, Any] | None = None


class ChatRequest(Sampling):
    messages: Annotated[list[Message], Field(min_length=1, max_length=MAX_MESSAGES, fail_fast=True)]
    max_completion_tokens: Annotated[int, Field(ge=1, le=MAX_TOKENS)] | None = Field(
        default=None, description="OpenAI's newer name of max_tokens; wins over it"
    )
    enable_thinking: bool | None = None
    logprobs: bool | None = Field(default=None, description="Not served yet: true is a 400")
    top_logprobs: int | None = Field(default=None, description="Not served yet: 400")
    tools: Tools | None = Field(default=None, description="Not served yet: 400")
    tool_choice: str | dict[str, Any] | None = None
    functions: Tools | None = Field(default=None, description="Not served yet: 400")
    function_call: str | dict[str, Any] | None = None
    response_format: ResponseFormat | None = Field(
        default=None, description="Only text is served yet; the others are a 400"
    )


class CompletionRequest(Sampling):
    prompt: Texts = Field(description="Text, token ids, or a list of either: one choice for each")
    echo: bool | None = Field(default=None, description="Not served yet: true is a 400")
    suffix: str | None = Field(default=None, description="Not served yet: 400")
    best_of: int | None = Field(default=None, description="Not served yet: above 1 is a 400")
    logprobs: int | None = Field(default=None, description="Not served yet: 400")

    @property
    def prompts(self) -> list[str | list[int]]:
        """Every prompt of the request."""
        return _each(self.prompt)


class EmbeddingRequest(ApiModel):
    model: ModelName
    input: Texts = Field(description="Text, token ids, or a list of either: one vector for each")
    encoding_format: Literal["float", "base64"] | None = Field(default=None, description="float when absent")
    dimensions: Annotated[int, Field(ge=1)] | None = Field(
        default=None, description="Keep this many leading numbers, scaled back to unit length"
    )
    user: str | None = None

    @property
    def inputs(self) -> list[str | list[int]]:
        """Every input of the request."""
        return _each(self.input)


class SpeechRequest(ApiModel):
    model: ModelName
    input: Annotated[str, Field(max_length=MAX_SPEECH_CHARACTERS), AfterValidator(_not_blank)]
    voice: Annotated[str, Field(min_length=1)]
    response_format: SpeechFormat | None = Field(
        default=None, description="pcm when absent: 24 kHz 16-bit little-endian mono without a header"
    )
    speed: Annotated[float, Field(ge=0.25, le=4)] | None = None
    stream: bool | None = Field(default=None, description="Send sound as it is made; pcm and opus only")
    stream_format: Literal["audio"] | None = None
    language: str | None = None
    instructions: str | None = None
    voice_transcript: str | None = None


class TranscriptionQuery(FormModel):
    """The query of the job contract: with ``model`` here, ``sync`` or ``stream`` says how to answer."""

    model: str | None = None
    sync: bool | None = Field(default=None, description="Answer with the transcript itself")
    stream: bool | None = Field(default=None, description="Answer with server-sent events")
    language: str | None = Field(default=None, description="ISO 639-1 code of what is spoken")
    prompt: str | None = None
    response_format: Literal["json", "text", "srt", "vtt", "verbose_json"] | None = Field(
        default=None, description="json when absent"
    )
    temperature: Annotated[float, Field(ge=0, le=1)] | None = None


class TranscriptionForm(TranscriptionQuery):
    """The form of OpenAI's contract; ``file`` is the recording. What the query also says, wins."""

    file: Annotated[bytes, Field(min_length=1)]
