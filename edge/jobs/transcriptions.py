"""Transcriptions that outlive their request."""

import asyncio
import contextlib
import secrets
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import structlog

from edge.errors import ModelNotReady, NoCapacity, StoreUnavailable, WorkerFailed
from edge.jobs.audio_files import AudioFiles
from edge.jobs.gate import FairGate
from edge.jobs.job import Job, JobFailed, JobState, TranscriptionOrder
from edge.jobs.workflows import WAITING, Record, Workflows
from edge.settings import EdgeSettings
from edge.workers.messages import Heard, Segment, Transcribe, Transcribed
from edge.workers.stream import EventStream
from shared.errors import ApiError

log = structlog.get_logger(__name__)

ATTEMPTS = 3
"""How often a recording is tried whose worker dies: it may be the recording that kills it."""

PATIENCE_SECONDS = 900.0
"""How long a job waits for a model that is loading, or whose queue is full, before it fails."""

RETRY_SECONDS = 1.0
MAX_SWEEP_SECONDS = 60.0
SWEEP_BATCH = 500
MAX_KEPT_SHARE = 2
"""One owner may have this part of all waiting jobs, a half, so that he leaves room for others."""


Transcriber = Callable[[str, TranscriptionOrder, Transcribe], AbstractAsyncContextManager[EventStream]]
"""Opens the events of the transcription of the job of that id."""


@dataclass(slots=True)
class _Live:
    """What of a job only matters while it runs."""

    bytes: int
    owner: str
    started_at: float | None = None
    updated_at: float = 0.0
    progress: float = 0.0


class TranscriptionJobs:
    """Takes recordings, has them transcribed when their turn comes, and keeps the transcripts for a while.

    Jobs that had not ended when the last process did are begun again. Nothing runs, and no file is made,
    before there is a first job.
    """

    def __init__(
        self, settings: EdgeSettings, transcribe: Transcriber, *, now: Callable[[], float] = time.time
    ) -> None:
        self._settings = settings
        self._transcriber = transcribe
        self._now = now
        directory = jobs_directory(settings)
        self._files = AudioFiles(directory / "audio")
        self._gate = FairGate(settings.edge_jobs_running)
        self._suspects = asyncio.Lock()
        self._live: dict[str, _Live] = {}
        self._starting = asyncio.Lock()
        self._started = False
        self._workflows = Workflows(
            directory / "jobs.db",
            name="transcription",
            executor=settings.edge_region,
            run=self._run,
            ended=self._put_away,
        )

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Take up what the last process left, and put down what still runs at the end."""
        if self._workflows.exist:
            await self._start()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._sweep)
            try:
                yield
            finally:
                tasks.cancel_scope.cancel()
                if self._started:
                    with anyio.CancelScope(shield=True):
                        await self._workflows.stop()

    async def _start(self) -> None:
        async with self._starting:
            if self._started:
                return
            sizes = await anyio.to_thread.run_sync(self._files.sizes)
            await self._workflows.start()
            self._started = True
            for record in await self._workflows.waiting():
                live = _Live(sizes.pop(record.id, 0), record.owner or "")
                self._live.setdefault(record.id, live)
            for orphan in sizes.keys() - self._live.keys():
                await anyio.to_thread.run_sync(self._files.remove, orphan)

    async def accept(self, order: TranscriptionOrder, audio: bytes, name: str | None = None) -> Job:
        """Store a job and begin it. Of one with a *name* that was accepted before, return what it has become.

        Raises:
            NoCapacity: this edge, or the owner, has all the jobs or bytes of audio that may wait at a time.
        """
        job_id = f"job_transcription_{name or secrets.token_hex(12)}"
        if name is not None:
            await self._start()
            if (known := await self.find(job_id, order.owner)) is not None:
                return known
        self._admit(order)
        live = self._live[job_id] = _Live(len(audio), order.owner, updated_at=self._now())
        try:
            await self._start()
            await anyio.to_thread.run_sync(self._files.save, job_id, audio)
            stored = asdict(order) | {"created_at": live.updated_at}
            await self._workflows.begin(job_id, order.owner, stored)
        except BaseException as error:
            self._live.pop(job_id, None)
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(self._files.remove, job_id)
            if isinstance(error, OSError):
                log.error("recording not stored", error=str(error))
                raise NoCapacity("The recording cannot be stored right now; try again later") from error
            raise
        log.info("job accepted", job=job_id, model=order.model, bytes=len(audio))
        created = live.updated_at
        return Job(job_id, JobState.ACCEPTED, order, created, created, None, None, 0.0)

    def _admit(self, order: TranscriptionOrder) -> None:
        jobs, room = self._settings.edge_jobs, self._settings.edge_job_audio_bytes
        own = sum(live.owner == order.owner for live in self._live.values())
        if own >= max(1, jobs // MAX_KEPT_SHARE):
            raise NoCapacity(
                f"{own} jobs of yours are waiting; try again when some have ended", retry_after=10
            )
        taken = sum(live.bytes for live in self._live.values())
        if len(self._live) >= jobs or taken + order.audio_bytes > room:
            raise NoCapacity(
                "This edge has all the transcription jobs that it can hold; try again later", retry_after=10
            )

    async def find(self, job_id: str, owner: str) -> Job | None:
        """Return a job with its result, None if *owner* has no such job."""
        if not self._started:
            return None
        record = await self._workflows.find(job_id)
        return self._job(record) if record is not None and record.owner == owner else None

    async def of_owner(self, owner: str, *, limit: int, offset: int = 0) -> list[Job]:
        """Return an owner's jobs without their results, the latest first."""
        if not self._started:
            return []
        found = await self._workflows.of_owner(owner, limit=limit, offset=offset)
        return sorted(map(self._job, found), key=lambda job: -job.created_at)

    async def cancel(self, job_id: str, owner: str) -> Job | None:
        """End a job if it has not ended, and return it; None if *owner* has no such job."""
        job = await self.find(job_id, owner)
        if job is None or job.ended:
            return job
        await self._workflows.cancel(job_id)
        self._put_away(job_id)
        return await self.find(job_id, owner)

    async def _run(self, job_id: str, stored: dict[str, Any]) -> dict[str, Any]:
        order, _ = _restore(stored)
        live = self._live.setdefault(job_id, _Live(order.audio_bytes, order.owner))
        async with self._gate.place(order.owner):
            live.started_at = live.updated_at = self._now()
            try:
                result = await self._transcribe(job_id, order, live)
            except ApiError as error:
                raise JobFailed(error.detail, error.code or error.type) from None
            except OSError as error:
                log.error("recording lost", job=job_id, error=str(error))
                raise JobFailed("The recording was lost; send it again", "recording_lost") from None
        return result | {"started_at": live.started_at}

    async def _transcribe(self, job_id: str, order: TranscriptionOrder, live: _Live) -> dict[str, Any]:
        """Return the result of a job, tried again where the model was at fault.

        Every job that was running when the worker died may have killed it, so they are tried again one by
        one: a recording that does kill it takes none of the others along to the end of their attempts.
        """
        deaths = 0
        patient_until: float | None = None
        while True:
            try:
                async with self._suspects if deaths else contextlib.nullcontext():
                    return await self._try(job_id, order, live)
            except WorkerFailed:
                deaths += 1
                if deaths >= ATTEMPTS:
                    raise
                patient_until = None
            except (ModelNotReady, NoCapacity, StoreUnavailable):
                patient_until = patient_until or self._now() + PATIENCE_SECONDS
                if self._now() > patient_until:
                    raise
            await asyncio.sleep(RETRY_SECONDS)

    async def _try(self, job_id: str, order: TranscriptionOrder, live: _Live) -> dict[str, Any]:
        audio = await anyio.to_thread.run_sync(self._files.read, job_id)
        request = Transcribe(
            audio=audio,
            language=order.language,
            prompt=order.prompt,
            temperature=order.temperature,
            words=order.words,
            caller=order.owner,
        )
        del audio
        segments: list[Segment] = []
        duration = order.estimated_seconds
        async with self._transcriber(job_id, order, request) as stream:
            async for _, event in stream:
                if isinstance(event, Transcribed):
                    told = [asdict(segment) for segment in segments]
                    return {"language": event.language, "duration": event.duration, "segments": told}
                if isinstance(event, Heard):
                    duration, at = event.duration, event.seconds
                elif isinstance(event, Segment):
                    segments.append(event)
                    at = event.end
                else:
                    continue
                live.updated_at = self._now()
                live.progress = min(0.99, at / duration) if duration else 0.0
        raise WorkerFailed("The model's answer broke off")

    def _put_away(self, job_id: str) -> None:
        """Give up the room of a job whose end is stored."""
        self._live.pop(job_id, None)
        with contextlib.suppress(OSError):
            self._files.remove(job_id)

    async def _sweep(self) -> None:
        """Remove jobs when their time is over."""
        keep = self._settings.edge_job_keep_seconds
        while True:
            await anyio.sleep(min(MAX_SWEEP_SECONDS, keep / 4))
            if not self._started:
                continue
            try:
                while old := await self._workflows.ended_before(self._now() - keep, limit=SWEEP_BATCH):
                    await self._workflows.forget(old)
            except Exception:
                log.exception("old jobs were not removed")

    def _job(self, record: Record) -> Job:
        order, created_at = _restore(record.order)
        live = self._live.get(record.id)
        state, failure = _state(record, live)
        result = record.result if state is JobState.COMPLETED else None
        started_at = live.started_at if live is not None else (result or {}).get("started_at")
        updated_at = max(record.updated_at, created_at)
        progress = 1.0 if state is JobState.COMPLETED else 0.0
        if live is not None and state is JobState.PROCESSING:
            updated_at, progress = max(updated_at, live.updated_at), live.progress
        return Job(
            id=record.id,
            state=state,
            order=order,
            created_at=created_at,
            updated_at=updated_at,
            started_at=started_at,
            ended_at=None if record.ended_at is None else max(record.ended_at, started_at or created_at),
            progress=progress,
            failure=failure,
            result=result,
        )


def jobs_directory(settings: EdgeSettings) -> Path:
    """Return where the jobs of an edge lie: edges that share a home have each their own."""
    return settings.home / "jobs" / settings.edge_region


def _restore(stored: dict[str, Any]) -> tuple[TranscriptionOrder, float]:
    fields = dict(stored)
    created_at = fields.pop("created_at")
    return TranscriptionOrder(**fields), created_at


def _state(record: Record, live: _Live | None) -> tuple[JobState, JobFailed | None]:
    if record.state in WAITING:
        began = live is not None and live.started_at is not None
        return (JobState.PROCESSING if began else JobState.ACCEPTED), None
    if record.state == "SUCCESS":
        return JobState.COMPLETED, None
    if record.state == "CANCELLED":
        return JobState.CANCELLED, None
    if isinstance(record.error, JobFailed):
        return JobState.FAILED, record.error
    return JobState.FAILED, JobFailed("The job failed; send the recording again", "internal_error")
