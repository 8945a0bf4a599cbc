"""What a gateway and a worker process say to each other, and how it is framed.

A frame is a four-byte big-endian length and that many bytes of msgpack: ``[tag, field, …]``, where the
tag names one of the dataclasses below and the fields follow in their declared order. Requests carry an
id, so one connection holds many of them at once and their events interleave. Closing the connection
tells the worker to end.

    gateway → worker   Load, Submit(id, request), Cancel(id), Ping
    worker → gateway   Ready, LoadFailed, Emit(id, event), Finished(id), Failed(id, …), Pong
    request            Generate, Embed, Speak, Transcribe
    event              Text, ToolCall, Generated, Vectors, Audio, Spoken, Heard, Segment, Transcribed
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from typing import Any, Literal, TypeVar

import msgpack

MAX_FRAME_BYTES = 64 * 1024 * 1024
"""Larger than the largest body that a gateway can be set to accept; a longer frame means a broken peer."""

_HEADER = struct.Struct(">I")


class ProtocolError(Exception):
    """The peer sent bytes that are not a frame of this protocol."""


# Requests


@dataclass(frozen=True, slots=True)
class Generate:
    """Continue a chat (``messages``, rendered by the model's own template) or a raw ``prompt``.

    Exactly one of the two is set; a prompt is text or token ids. ``max_tokens`` None means up to the
    context that is left. An image in a message's ``content`` is a part ``{"type": "image", "data": bytes}``
    among ``{"type": "text", "text": str}`` parts.
    """

    messages: list[dict[str, Any]] | None = None
    prompt: str | list[int] | None = None
    max_tokens: int | None = None
    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    min_p: float = 0.0
    frequency_penalty: float = 0.0
    presence_penalty: float = 0.0
    repetition_penalty: float = 1.0
    seed: int | None = None
    stop: list[str] = field(default_factory=list)
    enable_thinking: bool = False
    logit_bias: list[tuple[int, float]] = field(default_factory=list)
    """Added to the logits of these token ids before anything else looks at them."""
    logprobs: int | None = None
    """Tell the log-probability of every token, and of this many likeliest ones beside it."""
    echo: bool = False
    """Begin the text with the prompt's own, with its log-probabilities when ``logprobs`` asks for any."""
    suffix: str | None = None
    """What comes after the text to make; for models that can fill in."""
    json_schema: dict[str, Any] | bool | None = None
    """The text is JSON that this schema takes; ``{"type": "object"}`` is any object."""
    tools: list[dict[str, Any]] = field(default_factory=list)
    """Functions that the model may call, each ``{"name", "description"?, "parameters"?}``."""
    tool_choice: Literal["none", "auto", "required"] = "auto"
    tool_name: str | None = None
    """With ``required``: the one function that must be called."""
    parallel_tool_calls: bool = True
    caller: str = ""
    """Whose request it is: callers get their turns alike, however much each of them asks."""


@dataclass(frozen=True, slots=True)
class Embed:
    """Embed every input (text or token ids) into one unit-length vector each.

    ``dimensions`` keeps that many leading numbers of each, the vector scaled back to unit length.
    """

    inputs: list[str | list[int]]
    dimensions: int | None = None


@dataclass(frozen=True, slots=True)
class Speak:
    """Speak *text*; ``format`` is pcm, wav, mp3, opus, aac or flac, ``speed`` 0.25 to 4.

    ``voice`` is a voice's name or a blend of some (``af_bella(2)+am_adam(1)``). With ``stream`` the audio
    leaves in pieces as sentences are done, else all of it at the end.
    """

    text: str
    voice: str
    format: str = "pcm"
    speed: float = 1.0
    stream: bool = False
    caller: str = ""
    """Whose request it is: callers get their turns alike, however much each of them asks."""


@dataclass(frozen=True, slots=True)
class Transcribe:
    """Transcribe *audio*, a file of any container that PyAV can open, or *translate* it into English.

    With ``words`` every segment tells the times of its words, which takes longer.
    """

    audio: bytes
    language: str | None = None
    prompt: str | None = None
    temperature: float = 0.0
    translate: bool = False
    words: bool = False
    caller: str = ""
    """Whose request it is: callers get their turns alike, however much each of them asks."""


Request = Generate | Embed | Speak | Transcribe


# Events


@dataclass(frozen=True, slots=True)
class Text:
    """More text of a generation; whole characters only.

    ``tokens`` counts the tokens that were drawn for it; an echoed prompt counts none. ``logprobs`` has an
    element for each token of the text if the request asked for any: ``[token id, its bytes, logprob, [[id,
    bytes, logprob] of the likeliest, best first]]``, where the logprob of a prompt's first token is None.
    ``made_at`` is the ``time.perf_counter()`` at which the last of them was drawn: on Linux one clock for
    every process.
    """

    text: str
    tokens: int = 0
    logprobs: list[list[Any]] | None = None
    made_at: float = 0.0


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A function call begins (``id`` and ``name`` are set), or goes on with more of its ``arguments``.

    The pieces of one call share their ``index`` and join to one JSON object.
    """

    index: int
    id: str | None = None
    name: str | None = None
    arguments: str = ""
    tokens: int = 0
    made_at: float = 0.0


@dataclass(frozen=True, slots=True)
class Generated:
    """The end of a generation. ``finish_reason`` is ``stop``, ``length``, ``tool_calls``, or ``cancelled``
    when the caller left; times in milliseconds. ``cached_tokens`` of the prompt's were not computed again."""

    finish_reason: str
    prompt_tokens: int
    completion_tokens: int
    queue_ms: float = 0.0
    inference_ms: float = 0.0
    cached_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Vectors:
    """One little-endian float32 vector of ``dimensions`` numbers per input, end to end in ``data``."""

    data: bytes
    dimensions: int
    prompt_tokens: int
    queue_ms: float = 0.0
    inference_ms: float = 0.0


@dataclass(frozen=True, slots=True)
class Audio:
    """Encoded audio: a piece of the stream, or of the whole file; it may be empty.

    ``characters`` of the text have been spoken since the event before. Added up they tell how far the speech
    got, also when its caller leaves; at its end they are those of ``Spoken``.
    """

    data: bytes
    characters: int = 0


@dataclass(frozen=True, slots=True)
class Spoken:
    """The end of a speech: ``seconds`` of sound were made of ``characters`` of the text.

    White space at the text's ends does not count, nor does what has no sound of its own.
    ``inference_ms`` is the time that was spent on this speech, ``queue_ms`` what it waited for others.
    """

    characters: int
    seconds: float
    queue_ms: float = 0.0
    inference_ms: float = 0.0


@dataclass(frozen=True, slots=True)
class Heard:
    """How far a transcription is: ``seconds`` of the ``duration`` of the audio, both in seconds."""

    seconds: float
    duration: float


@dataclass(frozen=True, slots=True)
class Segment:
    """A transcribed stretch of audio; ``start`` and ``end`` in seconds from the beginning.

    ``words``, if they were asked for, joined are the text; each is ``[word, start, end, probability]``.
    """

    id: int
    seek: int
    start: float
    end: float
    text: str
    tokens: list[int]
    temperature: float
    avg_logprob: float
    compression_ratio: float
    no_speech_prob: float
    words: list[list[Any]] | None = None


@dataclass(frozen=True, slots=True)
class Transcribed:
    """The end of a transcription: ``language`` as ISO 639-1, ``duration`` of the audio in seconds."""

    language: str
    duration: float
    queue_ms: float = 0.0
    inference_ms: float = 0.0


Event = Text | ToolCall | Generated | Vectors | Audio | Spoken | Heard | Segment | Transcribed


# Envelopes


@dataclass(frozen=True, slots=True)
class Load:
    """Load a model. ``engine`` is the module whose ``load`` makes it (``edge.engines.base.Loader``), and
    ``files`` maps the roles that it needs to absolute paths. The logs go where the gateway's do. ``nice``
    is by how many levels the model gives way to others where cores are short."""

    engine: str
    files: dict[str, str]
    options: dict[str, Any]
    log_level: str = "info"
    log_format: Literal["auto", "console", "json"] = "auto"
    nice: int = 0


@dataclass(frozen=True, slots=True)
class Submit:
    id: int
    request: Request


@dataclass(frozen=True, slots=True)
class Cancel:
    id: int


@dataclass(frozen=True, slots=True)
class Ping:
    sequence: int


@dataclass(frozen=True, slots=True)
class Ready:
    """The model is loaded; ``info`` is what the engine tells about it."""

    info: dict[str, Any]


@dataclass(frozen=True, slots=True)
class LoadFailed:
    message: str


@dataclass(frozen=True, slots=True)
class Emit:
    id: int
    event: Event


@dataclass(frozen=True, slots=True)
class Finished:
    id: int


@dataclass(frozen=True, slots=True)
class Failed:
    """The request ended in an error. ``invalid`` is the caller's fault and names ``param``."""

    id: int
    message: str
    invalid: bool = False
    param: str | None = None


@dataclass(frozen=True, slots=True)
class Pong:
    sequence: int


Message = Load | Submit | Cancel | Ping | Ready | LoadFailed | Emit | Finished | Failed | Pong

_TYPES: tuple[type[Any], ...] = (
    *(Generate, Embed, Speak, Transcribe),
    *(Text, ToolCall, Generated, Vectors, Audio, Spoken, Heard, Segment, Transcribed),
    *(Load, Submit, Cancel, Ping, Ready, LoadFailed, Emit, Finished, Failed, Pong),
)
_BY_TAG = {cls.__name__: cls for cls in _TYPES}
_FIELDS = {cls: tuple(f.name for f in fields(cls)) for cls in _TYPES}

T = TypeVar("T")


def _flatten(value: Any) -> list[Any]:
    cls = type(value)
    flat: list[Any] = [cls.__name__]
    for name in _FIELDS[cls]:
        item = getattr(value, name)
        flat.append(_flatten(item) if type(item) in _FIELDS else item)
    return flat


def _build(flat: Any) -> Any:
    if not isinstance(flat, list) or not flat or flat[0] not in _BY_TAG:
        raise ProtocolError("the frame holds no known message")
    cls = _BY_TAG[flat[0]]
    values = flat[1:]
    if cls is Submit or cls is Emit:
        values = [*values[:-1], _build(values[-1])]
    try:
        return cls(*values)
    except TypeError as error:
        raise ProtocolError(f"{flat[0]} has the wrong number of fields") from error


def encode(message: Message) -> bytes:
    """Return *message* as one frame.

    Raises:
        ProtocolError: the frame would be larger than ``MAX_FRAME_BYTES``.
    """
    body: bytes = msgpack.packb(_flatten(message))
    if len(body) > MAX_FRAME_BYTES:
        raise ProtocolError(f"a {type(message).__name__} of {len(body)} bytes does not fit in a frame")
    return _HEADER.pack(len(body)) + body


class Decoder:
    """Turns the bytes of a stream, in whatever pieces they arrive, back into messages."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[Message]:
        """Yield each message that *data* completes.

        Raises:
            ProtocolError: the bytes are not frames of this protocol.
        """
        self._buffer += data
        while len(self._buffer) >= _HEADER.size:
            (length,) = _HEADER.unpack_from(self._buffer)
            if length > MAX_FRAME_BYTES:
                raise ProtocolError(f"the peer announced a frame of {length} bytes")
            end = _HEADER.size + length
            if len(self._buffer) < end:
                return
            body = bytes(memoryview(self._buffer)[_HEADER.size : end])
            del self._buffer[:end]
            try:
                flat = msgpack.unpackb(body)
            except (ValueError, msgpack.UnpackException) as error:
                raise ProtocolError("the frame is not msgpack") from error
            message: Message = _build(flat)
            yield message
