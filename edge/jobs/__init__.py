"""What outlives a request."""

from edge.jobs.audio_header import AudioHeader, read_header
from edge.jobs.job import Job, JobFailed, JobState, TranscriptionOrder
from edge.jobs.metered import MeteredTranscriber
from edge.jobs.transcriptions import TranscriptionJobs

__all__ = [
    "AudioHeader",
    "Job",
    "JobFailed",
    "JobState",
    "MeteredTranscriber",
    "TranscriptionJobs",
    "TranscriptionOrder",
    "read_header",
]
