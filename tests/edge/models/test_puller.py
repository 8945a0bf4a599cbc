import hashlib
import os
import re
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import anyio
import psutil
import pytest
import yaml

from edge.models import installed, load_catalogue
from edge.models.puller import PullError, pull_apart
from tests.file_server import FileServer, Served, file_server

pytestmark = pytest.mark.anyio

CONTENT = b"weights" * 300_000


@pytest.fixture
def server() -> Iterator[FileServer]:
    with file_server() as running:
        yield running


def catalogue(directory: Path, source: str, size: int = len(CONTENT)) -> Path:
    file = {
        "name": "model.bin",
        "sha256": hashlib.sha256(CONTENT).hexdigest(),
        "bytes": size,
        "sources": [source],
    }
    model = {
        "id": "small",
        "engine": "whisper",
        "kind": "stt",
        "description": "small",
        "owned_by": "us",
        "licence": "MIT",
        "released": "2026-01-01",
        "parameters": 1,
        "capabilities": ["transcription"],
        "files": {"model": file},
    }
    path = directory / "catalogue.yaml"
    path.write_text(yaml.safe_dump({"models": [model]}))
    return path


def is_there(path: Path, cache: Path) -> bool:
    model = load_catalogue(path).resolve("small")
    assert model is not None
    return installed(model, cache)


def pullers() -> list[psutil.Process]:
    return [child for child in psutil.Process().children() if "edge.models.pull_child" in child.cmdline()]


async def test_a_model_is_pulled_in_a_process_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "weights").write_bytes(CONTENT)
    listing = catalogue(tmp_path, f"file:{tmp_path / 'weights'}")
    told: list[str] = []
    await pull_apart("small", tmp_path / "cache", told.append, seconds=60, catalogue=listing)
    assert is_there(listing, tmp_path / "cache")
    assert not pullers()


async def test_it_tells_how_far_it_is(tmp_path: Path, server: FileServer) -> None:
    server.serve("/weights", Served(CONTENT))
    listing = catalogue(tmp_path, f"{server.url}/weights")
    told: list[str] = []
    await pull_apart("small", tmp_path / "cache", told.append, seconds=60, catalogue=listing)
    assert re.fullmatch(r"fetching .*, 0\.0 MB( of 2\.1 MB)?", told[0])


async def test_a_source_that_has_nothing_is_named(tmp_path: Path) -> None:
    listing = catalogue(tmp_path, f"file:{tmp_path / 'nothing'}")
    with pytest.raises(PullError, match=r"model\.bin could not be fetched(.|\n)*nothing"):
        await pull_apart("small", tmp_path / "cache", print, seconds=60, catalogue=listing)


async def test_a_catalogue_that_changed_meanwhile(tmp_path: Path) -> None:
    with pytest.raises(PullError, match="no model 'other'"):
        await pull_apart("other", tmp_path, print, seconds=60, catalogue=catalogue(tmp_path, "file:/x"))


async def test_it_ends_in_time(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)  # opening it waits for ever
    listing = catalogue(tmp_path, f"file:{fifo}")
    with pytest.raises(PullError, match=r"within 1\.5 s"):
        await pull_apart("small", tmp_path / "cache", print, seconds=1.5, catalogue=listing)
    assert not pullers()


async def test_who_leaves_takes_the_process_along(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    listing = catalogue(tmp_path, f"file:{fifo}")
    with anyio.move_on_after(1) as left:
        await pull_apart("small", tmp_path / "cache", print, seconds=60, catalogue=listing)
    assert left.cancelled_caught
    assert not pullers()


async def test_a_process_that_is_killed_says_so(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    listing = catalogue(tmp_path, f"file:{fifo}")

    async def kill() -> None:
        while not pullers():
            await anyio.sleep(0.02)
        pullers()[0].send_signal(signal.SIGKILL)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(kill)
        with pytest.raises(PullError, match="ended with status -9"):
            await pull_apart("small", tmp_path / "cache", print, seconds=60, catalogue=listing)


async def test_it_does_not_outlive_the_edge(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    listing = catalogue(tmp_path, f"file:{fifo}")
    code = (
        "import anyio, pathlib, functools\n"
        "from edge.models.puller import pull_apart\n"
        f"pull = functools.partial(pull_apart, 'small', pathlib.Path({str(tmp_path)!r}), print, seconds=60, "
        f"catalogue=pathlib.Path({str(listing)!r}))\n"
        "anyio.run(pull)\n"
    )
    edge = await anyio.open_process([sys.executable, "-c", code])
    parent = psutil.Process(edge.pid)
    with anyio.fail_after(20):
        while not (children := parent.children()):
            await anyio.sleep(0.02)
    await anyio.sleep(0.5)
    edge.kill()
    await edge.wait()
    _, alive = await anyio.to_thread.run_sync(lambda: psutil.wait_procs(children, timeout=10))
    assert not alive
    await edge.aclose()
