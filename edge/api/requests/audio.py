"""What clients may send to have a text spoken."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from edge.api.requests.fields import ApiModel, FormModel, ModelName
from edge.engines.audio.formats import FORMATS

MAX_SPEECH_CHARACTERS = 4096


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


class SpeechRequest(ApiModel):
    model: ModelName
    input: Annotated[str, Field(max_length=MAX_SPEECH_CHARACTERS), AfterValidator(_not_blank)]
    voice: Annotated[
        str, Field(min_length=1, description="Id or alias of a voice, or a blend: af_bella(2)+am_adam(1)")
    ]
    response_format: SpeechFormat | None = Field(
        default=None, description="pcm when absent: 24 kHz 16-bit little-endian mono without a header"
    )
    speed: Annotated[float, Field(ge=0.25, le=4)] | None = None
    stream: bool | None = Field(default=None, description="Send sound as it is made; pcm and opus only")
    stream_format: Literal["audio"] | None = None
    language: str | None = Field(default=None, description="Taken and not used: the voices read English")
    instructions: str | None = Field(default=None, description="Taken and not used")
    voice_transcript: str | None = Field(default=None, description="Taken and not used")


class VoicesQuery(FormModel):
    model: ModelName | None = Field(
        default=None, description="Id or alias of a speech model: only its voices"
    )
