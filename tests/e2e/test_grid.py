"""``nearedge up``, as a newcomer sees it."""

import json
import re
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import psutil
import pytest

from tests.e2e.audio import word_error_rate
from tests.e2e.grids import Grid
from tests.e2e.services import (
    STOP_SECONDS,
    command,
    environment,
    free_ports,
    is_healthy,
    run,
    service,
)
from tests.e2e.terminals import CTRL_C, terminal

WARM_START_SECONDS = 30.0
"""Far above what it takes, which is a few seconds: the machine may be busy."""


def test_everything_answers(grid: Grid) -> None:
    assert list(grid.edges) == ["yto-01", "nyc-01"]
    ports = [int(url.rpartition(":")[2]) for url in (grid.autorouter, *grid.edges.values())]
    assert ports == [ports[0], ports[0] + 1, ports[0] + 2]
    assert grid.inference_key.startswith("pg_")
    assert grid.operator_key.startswith("pg_")
    for region, url in grid.edges.items():
        health = httpx.get(f"{url}/health").json()
        assert (health["status"], health["region"]) == ("healthy", region)
    assert is_healthy(grid.autorouter)


def test_the_document_and_its_page(edge_url: str) -> None:
    document = httpx.get(f"{edge_url}/openapi.json").json()
    page = httpx.get(f"{edge_url}/docs")

    assert {"/v1/chat/completions", "/v1/audio/speech", "/v1/models/{model}"} <= document["paths"].keys()
    assert page.headers["content-type"].startswith("text/html")
    for asset in re.findall(r'(?:src|href)="(/[^"]+)"', page.text):
        assert httpx.get(f"{edge_url}{asset}").status_code == 200


def test_the_commands_that_a_person_pastes(
    grid: Grid, tmp_path: Path, measured: Callable[[str], None]
) -> None:
    # The models are there: the other grid has fetched them.
    port = free_ports(3)
    started = time.monotonic()
    up = command("up", "--port", port, "--home", tmp_path / "state")
    with terminal(up, environment(drain_delay_seconds=0.2)) as screen:
        shown = screen.read_until("Ctrl-C stops it all.", WARM_START_SECONDS)
        measured(f"nearedge up with warm models: {time.monotonic() - started:.1f} s")
        family = psutil.Process(screen.process.pid).children(recursive=True)

        chat, speech = re.findall(r"^curl .*?[^\\]$", shown, re.MULTILINE | re.DOTALL)
        answer = json.loads(paste(chat, tmp_path))
        assert "Ottawa" in answer["choices"][0]["message"]["content"]
        assert answer["routing"]["provider"] == "yto-01"
        paste(speech, tmp_path)
        heard = transcribe(tmp_path / "hello.wav", grid)
        assert word_error_rate("Hello from the edge, spoken on your own machine.", heard) <= 0.1

        urls = re.findall(r"http://127\.0\.0\.1:\d+", shown)
        assert {f"http://127.0.0.1:{port + number}" for number in range(3)} <= set(urls)
        assert len(set(re.findall(r"pg_[\w-]+", shown))) == 2

        screen.press(CTRL_C)
        screen.read_until("The grid has stopped.", STOP_SECONDS)
        assert screen.process.wait(STOP_SECONDS) == 0
        _, alive = psutil.wait_procs(family, timeout=5)
        assert alive == []


def paste(typed: str, directory: Path) -> str:
    """Run what a person would paste into a shell, and return what it prints."""
    clean = {name: value for name, value in environment().items() if "proxy" not in name.lower()}
    done = subprocess.run(
        ["bash", "-c", typed],
        cwd=directory,
        env=clean,
        capture_output=True,
        text=True,
        timeout=100,
        check=True,
    )
    return done.stdout


def transcribe(recording: Path, grid: Grid) -> str:
    answer = httpx.post(
        f"{grid.edges['yto-01']}/v1/audio/transcriptions",
        headers={"Authorization": f"Bearer {grid.inference_key}"},
        data={"model": "whisper-1", "response_format": "text"},
        files={"file": recording.read_bytes()},
        timeout=100,
    )
    assert answer.status_code == 200, answer.text
    return answer.text


def test_nothing_outlives_a_killed_grid(tmp_path: Path) -> None:
    arguments = ("up", "--json", "--edges", "yul-01", "--port", free_ports(2), "--home", tmp_path)
    with service(tmp_path / "log", *arguments, edge_models="all-minilm-l6-v2") as up:
        first = Grid.parse(up.read_line(), tmp_path, up)
        family = up.family()
        assert len(family) >= 3
        up.process.kill()
        _, alive = psutil.wait_procs(family, timeout=STOP_SECONDS)
        assert alive == []

    # The next one starts in the same home; the keys of the last one are worth nothing.
    with service(tmp_path / "log", *arguments, edge_models="all-minilm-l6-v2") as up:
        second = Grid.parse(up.read_line(), tmp_path, up)
        asked = f"{second.edges['yul-01']}/v1/models"
        old = httpx.get(asked, headers={"Authorization": f"Bearer {first.inference_key}"})
        new = httpx.get(asked, headers={"Authorization": f"Bearer {second.inference_key}"})
        assert (old.status_code, new.status_code) == (401, 200)
        up.stop(signal.SIGINT)


def test_an_edge_that_ends_stops_the_grid(tmp_path: Path) -> None:
    arguments = ("up", "--json", "--edges", "yul-01", "--port", free_ports(2), "--home", tmp_path)
    settings = {"edge_models": "all-minilm-l6-v2", "drain_delay_seconds": 0}
    with service(tmp_path / "log", *arguments, **settings) as up:
        grid = Grid.parse(up.read_line(), tmp_path, up)
        family = up.family()
        psutil.Process(grid.edge_pid("yul-01")).kill()
        assert up.process.wait(STOP_SECONDS) == 1
        _, alive = psutil.wait_procs(family, timeout=5)
        assert alive == []
        assert "yul-01 ended with status" in up.tail()


@pytest.mark.parametrize(
    ("arguments", "settings", "status", "says"),
    [
        (("--edges", "yto-01,atlantis"), {}, 2, "'atlantis' is no region"),
        (("--edges", "toronto,yto-01"), {}, 2, "yto-01 is there twice"),
        (("--edges", ","), {}, 2, "at least one region"),
        (("--port", "70000"), {}, 1, "give a port from 1 to"),
        ((), {"edge_colour": "red"}, 2, "unknown setting NEAREDGE_EDGE_COLOUR"),
        ((), {"edge_queue": "many"}, 2, "NEAREDGE_EDGE_QUEUE"),
        ((), {"edge_models": "smollm2,gpt-9"}, 1, "no model 'gpt-9'"),
    ],
)
def test_a_start_that_cannot_work_says_why(
    tmp_path: Path, arguments: tuple[str, ...], settings: dict[str, str], status: int, says: str
) -> None:
    done = run("up", "--json", "--home", tmp_path, *arguments, **settings)

    assert done.returncode == status
    assert says in " ".join(done.stderr.split())
    assert done.stdout == ""


def test_a_taken_home_or_port_is_said(grid: Grid, tmp_path: Path) -> None:
    taken = run("up", "--json", "--home", grid.home)
    assert taken.returncode == 1
    assert "another grid runs in" in " ".join(taken.stderr.split())

    port = grid.autorouter.rpartition(":")[2]
    taken = run("up", "--json", "--home", tmp_path, "--port", port)
    assert taken.returncode == 1
    assert f"port {port} cannot be bound" in " ".join(taken.stderr.split())
