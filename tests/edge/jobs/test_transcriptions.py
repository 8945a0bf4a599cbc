import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import anyio
import pytest

from edge.errors import NoCapacity
from edge.jobs import Job, JobState, TranscriptionJobs, TranscriptionOrder
from edge.models import load_catalogue, served
from edge.models.lifecycle import Lifecycle
from edge.models.served import ServedModels
from edge.settings import EdgeSettings
from edge.workers.messages import Transcribe
from edge.workers.stream import EventStream
from tests.models import CACHE, pulled

pytestmark = pytest.mark.anyio


@pytest.fixture
def settings(tmp_path: Path) -> EdgeSettings:
    pulled("whisper-tiny.en")
    return EdgeSettings(home=tmp_path, cache=CACHE, edge_models=("whisper-tiny.en",), edge_jobs_running=1)


@pytest.fixture(autouse=True)
def _scripted() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(served, "ENGINES", dict.fromkeys(served.ENGINES, "tests.edge.api.scripted_engine"))
        yield


@asynccontextmanager
async def opened(settings: EdgeSettings) -> AsyncIterator[TranscriptionJobs]:
    models = ServedModels(load_catalogue(), settings)

    def transcribe(
        _job_id: str, order: TranscriptionOrder, request: Transcribe
    ) -> AbstractAsyncContextManager[EventStream]:
        return models.find(order.model).worker.request(request)

    jobs = TranscriptionJobs(settings, transcribe)
    async with Lifecycle(models, settings).running(), jobs.running():
        yield jobs


def order(audio: bytes, owner: str = "me") -> TranscriptionOrder:
    return TranscriptionOrder(
        owner=owner,
        key_id="key_1",
        model="whisper-tiny.en",
        language=None,
        prompt=None,
        temperature=0.0,
        words=False,
        presentation={},
        filename="a.wav",
        audio_bytes=len(audio),
        audio_format="wav",
        estimated_seconds=3.0,
    )


async def begin(jobs: TranscriptionJobs, audio: bytes, owner: str = "me") -> Job:
    return await jobs.accept(order(audio, owner), audio)


async def until(jobs: TranscriptionJobs, job: Job, *states: JobState) -> Job:
    deadline = time.monotonic() + 40
    while True:
        found = await jobs.find(job.id, job.order.owner)
        assert found is not None
        if found.state in states:
            return found
        assert time.monotonic() < deadline, found
        await anyio.sleep(0.02)


def recordings(settings: EdgeSettings) -> list[bytes]:
    directory = settings.home / "jobs" / settings.edge_region / "audio"
    return [file.read_bytes() for file in directory.iterdir()]


async def test_an_edge_that_never_had_a_job_has_no_file_for_them(settings: EdgeSettings) -> None:
    async with opened(settings) as jobs:
        assert await jobs.find("job_1", "me") is None
        assert await jobs.of_owner("me", limit=5) == []
    assert not (settings.home / "jobs").exists()


async def test_the_recording_goes_when_the_job_has_ended(settings: EdgeSettings) -> None:
    async with opened(settings) as jobs:
        done = await begin(jobs, b"hello there")
        failed = await begin(jobs, b"refuse file")
        found = await until(jobs, done, JobState.COMPLETED)
        assert found.result is not None
        assert [segment["text"] for segment in found.result["segments"]] == [" hello", " there"]
        await until(jobs, failed, JobState.FAILED)
        cancelled = await begin(jobs, b"slow 60")
        while len(left := recordings(settings)) > 1:
            await anyio.sleep(0.01)
        assert left == [b"slow 60"]
        await jobs.cancel(cancelled.id, "me")
        assert recordings(settings) == []


async def test_a_job_with_a_name_is_accepted_once_also_after_a_restart(settings: EdgeSettings) -> None:
    async with opened(settings) as jobs:
        first = await jobs.accept(order(b"hello there"), b"hello there", "order-1")
        done = await until(jobs, first, JobState.COMPLETED)
        assert await jobs.accept(order(b"hello there"), b"hello there", "order-1") == done
        other = await jobs.accept(order(b"slow 60", "you"), b"slow 60", "order-2")
    async with opened(settings) as jobs:
        again = await jobs.accept(order(b"slow 60", "you"), b"slow 60", "order-2")
        assert again.id == other.id
        assert len(await jobs.of_owner("you", limit=5)) == 1
        await jobs.cancel(other.id, "you")


async def test_a_restart_takes_up_what_had_not_ended(settings: EdgeSettings) -> None:
    async with opened(settings) as jobs:
        done = await begin(jobs, b"hello")
        await until(jobs, done, JobState.COMPLETED)
        running = await begin(jobs, b"slow 4")
        waiting = await begin(jobs, b"hello there", "they")
        await until(jobs, running, JobState.PROCESSING)
        (settings.home / "jobs" / settings.edge_region / "audio" / "job_orphan").write_bytes(b"x")
    async with opened(settings) as jobs:
        assert len(recordings(settings)) == 2
        assert (await until(jobs, done, JobState.COMPLETED)).result is not None
        await until(jobs, running, JobState.COMPLETED)
        await until(jobs, waiting, JobState.COMPLETED)
        await anyio.sleep(0.05)
        assert recordings(settings) == []


async def test_a_recording_that_kills_its_worker_fails_in_the_end(settings: EdgeSettings) -> None:
    async with opened(settings) as jobs:
        deadly = await begin(jobs, b"hello die")
        found = await until(jobs, deadly, JobState.FAILED)
        assert found.failure is not None
        assert found.failure.code == "worker_failed"
        await until(jobs, await begin(jobs, b"hello"), JobState.COMPLETED)


async def test_jobs_beside_one_that_kills_its_worker_do_not_fail_with_it(settings: EdgeSettings) -> None:
    settings = settings.model_copy(update={"edge_jobs_running": 3})
    async with opened(settings) as jobs:
        harmless = [await begin(jobs, b"hello wait0.8 there") for _ in range(2)]
        deadly = await begin(jobs, b"hello wait0.3 die")
        await until(jobs, deadly, JobState.FAILED)
        for job in harmless:
            await until(jobs, job, JobState.COMPLETED)


async def test_room_is_bounded_and_nobody_takes_all_of_it(settings: EdgeSettings) -> None:
    settings = settings.model_copy(update={"edge_jobs": 4})
    async with opened(settings) as jobs:
        mine = [await begin(jobs, b"slow 60") for _ in range(2)]
        with pytest.raises(NoCapacity, match="2 jobs of yours"):
            await begin(jobs, b"slow 60")
        theirs = [await begin(jobs, b"slow 60", owner) for owner in ("they", "she")]
        with pytest.raises(NoCapacity, match="all the transcription jobs"):
            await begin(jobs, b"slow 60", "late")
        assert len(recordings(settings)) == 4
        for job in mine + theirs:
            await jobs.cancel(job.id, job.order.owner)
        await begin(jobs, b"hello", "late")


async def test_a_job_is_forgotten_when_its_time_is_over(settings: EdgeSettings) -> None:
    settings = settings.model_copy(update={"edge_job_keep_seconds": 2.0})
    async with opened(settings) as jobs:
        job = await begin(jobs, b"hello")
        await until(jobs, job, JobState.COMPLETED)
        assert await jobs.find(job.id, "me") is not None
        deadline = time.monotonic() + 10
        while await jobs.find(job.id, "me") is not None:
            assert time.monotonic() < deadline
            await anyio.sleep(0.1)


async def test_a_recording_that_was_lost_fails_its_job(settings: EdgeSettings) -> None:
    async with opened(settings) as jobs:
        blocking = await begin(jobs, b"slow 60")
        lost = await begin(jobs, b"hello", "they")
        (settings.home / "jobs" / settings.edge_region / "audio" / lost.id).unlink()
        await jobs.cancel(blocking.id, "me")
        found = await until(jobs, lost, JobState.FAILED)
        assert found.failure is not None
        assert found.failure.code == "recording_lost"


async def test_progress_is_what_was_heard_of_the_whole(settings: EdgeSettings) -> None:
    async with opened(settings) as jobs:
        job = await begin(jobs, b"hello wait4 there")
        found = await until(jobs, job, JobState.PROCESSING)
        while found.progress == 0.0:
            await anyio.sleep(0.02)
            found = await until(jobs, job, JobState.PROCESSING)
        assert found.progress == pytest.approx(1.25 / 4.5)
        assert (await until(jobs, job, JobState.COMPLETED)).progress == 1.0
