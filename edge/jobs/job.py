"""What a transcription job was asked for, and how it is."""

import enum
from dataclasses import dataclass
from typing import Any


class JobState(enum.StrEnum):
    """As the published client reads it."""

    ACCEPTED = "accepted"
    PROCESSING = "processing"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class TranscriptionOrder:
    """What is stored of a job besides its audio. ``owner`` is the tenant whose it is, ``key_id`` the key that
    it was made with. ``presentation`` is kept for whoever shows the result.
    """

    owner: str
    key_id: str
    model: str
    language: str | None
    prompt: str | None
    temperature: float
    words: bool
    presentation: dict[str, Any]
    filename: str
    audio_bytes: int
    audio_format: str
    estimated_seconds: float


class JobFailed(Exception):
    """How a job ended that has no result: in words for its owner, and as a machine's word."""

    def __init__(self, message: str, code: str) -> None:
        super().__init__(message, code)
        self.message = message
        self.code = code


@dataclass(frozen=True, slots=True)
class Job:
    """A job as it is now; times in seconds since 1970, ``progress`` from 0 to 1.

    ``result`` has ``language``, ``duration`` in seconds and ``segments``, each the fields of a ``Segment``;
    it is there only where one completed job was asked for.
    """

    id: str
    state: JobState
    order: TranscriptionOrder
    created_at: float
    updated_at: float
    started_at: float | None
    ended_at: float | None
    progress: float
    failure: JobFailed | None = None
    result: dict[str, Any] | None = None

    @property
    def ended(self) -> bool:
        return self.state not in (JobState.ACCEPTED, JobState.PROCESSING)
