"""What clients may send to have a recording transcribed or translated."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from edge.api.requests.fields import FormModel

ResponseFormat = Literal["json", "text", "srt", "vtt", "verbose_json"]

MAX_PROMPT_CHARACTERS = 10_000
"""Whisper reads the last 224 tokens of a prompt."""


def _split(value: object) -> object:
    """``a,b`` and ``["a", "b,c"]`` are lists of names: a query has no other way to say so."""
    given = [value] if isinstance(value, str) else value
    if not isinstance(given, list):
        return given
    return [name.strip() for item in given for name in str(item).split(",") if name.strip()]


Granularities = Annotated[
    list[Literal["word", "segment"]],
    Field(max_length=8, description="What `verbose_json` tells the times of; `segment` it always does"),
    BeforeValidator(_split, json_schema_input_type=list[Literal["word", "segment"]]),
]
Includes = Annotated[
    list[Literal["logprobs"]],
    Field(max_length=8, description="`logprobs`: the log-probability of every word; with json only"),
    BeforeValidator(_split, json_schema_input_type=list[Literal["logprobs"]]),
]
Prompt = Annotated[str, Field(max_length=MAX_PROMPT_CHARACTERS)]
HearingTemperature = Annotated[float, Field(ge=0, le=1)]


class TranscriptionQuery(FormModel):
    """The query of the job contract: with ``model`` here the answer is a job, unless ``sync`` or ``stream``
    says otherwise."""

    model: str | None = None
    sync: bool | None = Field(default=None, description="Answer with the transcript itself")
    stream: bool | None = Field(default=None, description="Answer with server-sent events")
    language: str | None = Field(default=None, description="ISO 639-1 code of what is spoken")
    prompt: Prompt | None = Field(default=None, description="Text that shows how names are spelt")
    response_format: ResponseFormat | None = Field(default=None, description="json when absent")
    temperature: HearingTemperature | None = None
    punctuation: bool | None = Field(default=None, description="false leaves out punctuation marks")
    timestamp_granularities: Granularities | None = None
    include: Includes | None = None


class TranscriptionForm(TranscriptionQuery):
    """The form of OpenAI's contract; ``file`` is the recording. What the query also says, wins."""

    file: Annotated[bytes, Field(min_length=1)]


class TranslationForm(FormModel):
    """``file`` is the recording; the text is English, whatever is spoken."""

    file: Annotated[bytes, Field(min_length=1)]
    model: str | None = None
    prompt: Prompt | None = Field(default=None, description="English text that shows how names are spelt")
    response_format: ResponseFormat | None = Field(default=None, description="json when absent")
    temperature: HearingTemperature | None = None


class JobQuery(FormModel):
    """``job_id`` names one job; without it every job of the key's tenant is listed, the latest first."""

    job_id: str | None = Field(default=None, max_length=100)
    limit: Annotated[int, Field(ge=1, le=100)] = Field(default=20, description="Jobs that a list has")
    cursor: Annotated[int, Field(ge=0, le=10_000_000)] = Field(
        default=0, description="Where the list goes on: `next_cursor` of the page before"
    )


class JobCancelQuery(FormModel):
    job_id: str = Field(min_length=1, max_length=100)
