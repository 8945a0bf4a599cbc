"""Transcription jobs: ``GET`` and ``DELETE`` of ``/v1/audio/transcriptions``."""

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from edge.accounts import Key
from edge.api import transcript
from edge.api.answer import Answer
from edge.api.metered import check, events_of
from edge.api.parsing import parse_fields
from edge.api.requests import JobCancelQuery, JobQuery
from edge.api.transcript import Presentation
from edge.errors import JobNotFound
from edge.jobs import Job, JobState, TranscriptionJobs, TranscriptionOrder, read_header
from edge.models.served import ServedModel
from edge.workers.messages import Segment, Transcribe, Transcribed
from shared.clock import rfc3339
from shared.http.json import JsonResponse

PATH = "/v1/audio/transcriptions"

POLL_MS = 1000
"""How long a client should wait between two looks; as long as the published one does by itself."""

_MEGABYTE = 1_000_000


async def accept(
    request: Request,
    served: ServedModel,
    order: Transcribe,
    how: Presentation,
    filename: str,
    answer: Answer,
) -> Response:
    """Make a job of *order* and tell where to look for it.

    Raises:
        InsufficientCredits: the caller could not pay for it.
        NoCapacity: there are too many jobs.
    """
    await check(request, served, order)
    key: Key = request.state.key
    jobs: TranscriptionJobs = request.app.state.jobs
    header = read_header(order.audio, filename)
    events = events_of(request)
    job = await jobs.accept(
        TranscriptionOrder(
            owner=key.tenant_id,
            key_id=key.id,
            model=served.id,
            language=order.language,
            prompt=order.prompt,
            temperature=order.temperature,
            words=order.words,
            presentation=asdict(how),
            filename=filename,
            audio_bytes=len(order.audio),
            audio_format=header.format,
            estimated_seconds=header.estimated_seconds,
        ),
        order.audio,
        events.base if events is not None else None,
    )
    body = {
        **_info(job),
        "message": "The recording is transcribed in the background; poll_url tells how far it is",
        "poll_url": _url(job),
    }
    return JsonResponse(body, 202, headers=answer.headers | {"Location": _url(job)})


async def transcription_jobs(request: Request) -> Response:
    """Tell how a job is, with its transcript once it is there; without ``job_id``, list the latest jobs.

    A job that has not ended answers 202, any other 200. Transcripts may be read as often as one likes until
    their time is over. A key shows the jobs of its tenant; those of others do not exist.
    """
    asked = parse_fields(dict(request.query_params), JobQuery)
    jobs: TranscriptionJobs = request.app.state.jobs
    whose = request.state.key.tenant_id
    if not asked.job_id:
        found = await jobs.of_owner(whose, limit=asked.limit + 1, offset=asked.cursor)
        shown = found[: asked.limit]
        following = str(asked.cursor + asked.limit) if len(found) > asked.limit else None
        return JsonResponse(
            {"object": "list", "jobs": list(map(_info, shown)), "count": len(shown), "next_cursor": following}
        )
    return _answer(await jobs.find(asked.job_id, whose), asked.job_id)


async def cancel_transcription_job(request: Request) -> Response:
    """End a job. One that has ended already stays as it is."""
    asked = parse_fields(dict(request.query_params), JobCancelQuery)
    jobs: TranscriptionJobs = request.app.state.jobs
    job = await jobs.cancel(asked.job_id, request.state.key.tenant_id)
    return _answer(job, asked.job_id)


def _answer(job: Job | None, job_id: str) -> Response:
    if job is None:
        raise JobNotFound(f"There is no job {job_id!r}, or no longer")
    if not job.ended:
        return JsonResponse(_info(job), 202, headers={"Retry-After": str(POLL_MS // 1000)})
    if job.result is None:
        return JsonResponse(_info(job))
    segments = [Segment(**segment) for segment in job.result["segments"]]
    end = Transcribed(job.result["language"], job.result["duration"])
    body = transcript.json_body(segments, end, Presentation.restore(job.order.presentation))
    return JsonResponse(_info(job) | body, headers={"X-Pg-Audio-Seconds": f"{end.duration:.3f}"})


def _info(job: Job) -> dict[str, Any]:
    failure = job.failure
    return {
        "job_id": job.id,
        "type": "transcription",
        "status": job.state,
        "created_at": _time(job.created_at),
        "updated_at": _time(job.updated_at),
        "started_at": None if job.started_at is None else _time(job.started_at),
        "completed_at": None if job.ended_at is None else _time(job.ended_at),
        "progress": round(job.progress, 4),
        "metadata": {
            "filename": job.order.filename,
            "file_size_mb": round(job.order.audio_bytes / _MEGABYTE, 3),
            "audio_format": job.order.audio_format,
            "estimated_duration_seconds": job.order.estimated_seconds,
            "model": job.order.model,
        },
        "has_result": job.state is JobState.COMPLETED,
        "error": None if failure is None else failure.message,
        "error_code": None if failure is None else failure.code,
        "poll_interval_ms": POLL_MS,
        "result_url": _url(job),
    }


def _url(job: Job) -> str:
    return f"{PATH}?job_id={job.id}"


def _time(seconds: float) -> str:
    return rfc3339(datetime.fromtimestamp(seconds, UTC), timespec="milliseconds")
