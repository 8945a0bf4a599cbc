"""Types of the answers with voices and transcripts; the API's document is made from them."""

from typing import Literal, NotRequired

from typing_extensions import TypedDict

from edge.api.responses import PgMetadata, Routing


class VoiceInfo(TypedDict):
    """Who can speak. ``language`` is the speaker's own (BCP 47): every voice reads English, with its accent.

    ``aliases`` are further names that requests may use, among them OpenAI's; ``model`` is whose voice it is.
    """

    id: str
    name: str
    accent: str
    gender: Literal["female", "male"]
    language: str
    aliases: list[str]
    model: str


class VoiceList(TypedDict):
    object: Literal["list"]
    data: list[VoiceInfo]


class DurationUsage(TypedDict):
    """What is billed: the recording's length."""

    type: Literal["duration"]
    seconds: float


class WordLogprob(TypedDict):
    """A word with its leading space, its bytes, and the mean log-probability of its tokens."""

    token: str
    bytes: list[int]
    logprob: float


class Transcript(TypedDict):
    """``language`` is its ISO 639-1 code, ``duration`` the recording's length in seconds."""

    text: str
    language: str
    duration: float
    usage: DurationUsage
    logprobs: NotRequired[list[WordLogprob]]
    pg_metadata: PgMetadata
    routing: Routing


class TranscriptSegment(TypedDict):
    """A stretch of the recording; ``start`` and ``end`` in seconds from its beginning."""

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


class TranscriptWord(TypedDict):
    """``start`` and ``end`` in seconds from the recording's beginning."""

    word: str
    start: float
    end: float


class VerboseTranscript(Transcript):
    """The answer to ``verbose_json``."""

    task: Literal["transcribe", "translate"]
    segments: list[TranscriptSegment]
    words: NotRequired[list[TranscriptWord]]


class TranscriptDelta(TypedDict):
    """More text, as it is heard. All deltas joined are the whole text."""

    type: Literal["transcript.text.delta"]
    delta: str
    logprobs: NotRequired[list[WordLogprob]]


class TranscriptDone(Transcript):
    """The last event of a transcription, with its whole text."""

    type: Literal["transcript.text.done"]


class TranscriptError(TypedDict):
    """The event before ``[DONE]`` when a transcription breaks off."""

    type: Literal["error"]
    error: str
