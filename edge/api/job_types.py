"""What is told of transcription jobs. The API document is made from these types."""

from typing import Literal, NotRequired

from typing_extensions import TypedDict

from edge.api.audio_types import DurationUsage, TranscriptSegment, TranscriptWord, WordLogprob


class JobMetadata(TypedDict):
    """``estimated_duration_seconds`` is a guess by the file's header and size; sizes in 10^6 bytes."""

    filename: str
    file_size_mb: float
    audio_format: str
    estimated_duration_seconds: float
    model: str


class JobInfo(TypedDict):
    """``progress`` goes from 0 to 1; times are RFC 3339 in UTC. ``error`` says why a job has failed."""

    job_id: str
    type: Literal["transcription"]
    status: Literal["accepted", "processing", "completed", "failed", "cancelled"]
    created_at: str
    updated_at: str
    started_at: str | None
    completed_at: str | None
    progress: float
    metadata: JobMetadata
    has_result: bool
    error: str | None
    error_code: str | None
    poll_interval_ms: int
    result_url: str


class JobAccepted(JobInfo):
    message: str
    poll_url: str


class JobResult(JobInfo):
    """A completed job and its transcript, in the format that was asked for: ``text`` holds subtitles as they
    would be sent, and ``segments`` and ``words`` come with ``verbose_json``."""

    text: str
    language: str
    duration: float
    usage: DurationUsage
    task: NotRequired[Literal["transcribe"]]
    segments: NotRequired[list[TranscriptSegment]]
    words: NotRequired[list[TranscriptWord]]
    logprobs: NotRequired[list[WordLogprob]]


class JobList(TypedDict):
    """The latest jobs first, without their transcripts; ``next_cursor`` is null on the last page."""

    object: Literal["list"]
    jobs: list[JobInfo]
    count: int
    next_cursor: str | None
