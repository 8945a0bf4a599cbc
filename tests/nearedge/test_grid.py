import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nearedge import grid
from nearedge.grid import Grid, GridError, Member, Plan
from nearedge.settings import Settings
from shared import regions
from shared.regions import Region

KNOWN = list(regions.load(regions.default_path()))

STUBBORN = """
import signal, time
told = []
def on_signal(number, frame):
    told.append(number)
    print("told", number, flush=True)
    if len(told) == 2:
        raise SystemExit(7)
signal.signal(signal.SIGINT, on_signal)
signal.signal(signal.SIGTERM, on_signal)
print("up", flush=True)
while True:
    time.sleep(0.05)
"""


@given(st.lists(st.sampled_from(KNOWN), min_size=1, max_size=8, unique=True), st.integers(1, 60000))
def test_plan_puts_the_edges_after_the_autorouter(chosen: list[Region], port: int) -> None:
    plan = grid.plan(chosen, port, Path("/logs"))
    assert plan.members == (plan.autorouter, *plan.edges)
    assert [member.url for member in plan.members] == [
        f"http://127.0.0.1:{port + number}" for number in range(len(chosen) + 1)
    ]
    assert plan.regions == tuple(chosen)
    for region, edge in zip(chosen, plan.edges, strict=True):
        assert edge.name == region.id
        assert edge.arguments[:3] == ("edge", "--region", region.id)
        assert f"--port {edge.url.rsplit(':', 1)[-1]}" in " ".join(edge.arguments)
    assert len({member.log for member in plan.members}) == len(plan.members)


def test_plan_without_a_folder_logs_to_stderr() -> None:
    assert {member.log for member in grid.plan(KNOWN[:2], 8080, None).members} == {None}


@given(st.integers(1, 1000))
def test_edges_share_the_cores(edges: int) -> None:
    cores = len(os.sched_getaffinity(0))
    threads = grid.threads_per_edge(edges)
    assert 1 <= threads <= cores
    assert threads * edges <= max(cores, edges)


def test_port_that_is_taken_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(GridError, match=rf"port {port} cannot be bound .*--port"):
            grid.check_ports(port, 1)
    grid.check_ports(port, 1)


@pytest.mark.parametrize(("port", "count"), [(0, 1), (-1, 1), (65536, 1), (65534, 3), (99999, 3)])
def test_port_that_cannot_be_is_refused_with_those_that_can(port: int, count: int) -> None:
    with pytest.raises(GridError, match=f"--port {port}: give a port from 1 to {65536 - count}$"):
        grid.check_ports(port, count)


def test_last_port_can_be_had() -> None:
    grid.check_ports(65535, 1)


def test_regions_of_a_plan_can_be_read_back(tmp_path: Path) -> None:
    plan = grid.plan(KNOWN[:3], 8080, None)
    file = tmp_path / "grid" / "regions.yaml"
    grid.write_regions(file, plan)
    written = list(regions.load(file))
    assert written == [
        replace(region, url=edge.url, discoverable=True)
        for region, edge in zip(KNOWN[:3], plan.edges, strict=True)
    ]


def test_home_is_for_one_grid_at_a_time(tmp_path: Path) -> None:
    with grid.lock(tmp_path):
        with pytest.raises(GridError, match="another grid runs in"), grid.lock(tmp_path):
            pytest.fail("it was locked")
        with grid.lock(tmp_path / "other"):
            pass
    with grid.lock(tmp_path):
        pass


def test_lock_ends_with_the_process_that_held_it(tmp_path: Path) -> None:
    code = "import sys, time, pathlib; from nearedge import grid\n"
    code += "with grid.lock(pathlib.Path(sys.argv[1])): print('held', flush=True); time.sleep(60)"
    with subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True
    ) as other:
        try:
            assert other.stdout is not None
            assert other.stdout.readline() == "held\n"
            with pytest.raises(GridError, match="another grid"), grid.lock(tmp_path):
                pytest.fail("it was locked")
        finally:
            other.kill()
    with grid.lock(tmp_path):
        pass


def test_home_that_cannot_be_one_is_told(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    told = r"cannot be made: Not a directory; choose another --home"
    with pytest.raises(GridError, match=told), grid.lock(file):
        pytest.fail("it was locked")


class StubbornGrid(Grid):
    """A grid of two services that end at their second signal only."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, **given: Any) -> None:
        made = [
            Member(f"member-{number}", f"http://127.0.0.1:{number}", (), folder / f"{number}.log")
            for number in range(2)
        ]
        settings = Settings(home=folder, drain_delay_seconds=0.2, drain_seconds=0.3, **given)
        super().__init__(Plan(made[0], (made[1],), (KNOWN[0],)), settings)
        self.started: list[asyncio.subprocess.Process] = []
        self.secrets: list[str] = []
        monkeypatch.setattr(grid, "_spawn", self.spawn)
        monkeypatch.setattr(grid, "_healthy", self.healthy)

    async def spawn(self, member: Member, environment: dict[str, str]) -> asyncio.subprocess.Process:
        assert member.log is not None
        self.secrets.append(environment["NEAREDGE_INTERNAL_SECRET"])
        with member.log.open("wb") as log:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-c", STUBBORN), stdout=log, start_new_session=True
            )
        self.started.append(process)
        return process

    async def healthy(self, _client: httpx.AsyncClient, url: str) -> bool:
        return "up" in self.told()[int(url[-1])]

    def told(self) -> list[str]:
        logs = [member.log for member in self.plan.members if member.log is not None]
        return [log.read_text() if log.exists() else "" for log in logs]

    async def run_until_told(self, *numbers: signal.Signals) -> list[str]:
        """Run, send this process *numbers* one after another, and return what the services were told."""
        announced = anyio.Event()
        with anyio.fail_after(30):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self.run, announced.set)
                await announced.wait()
                for count, number in enumerate(numbers, 1):
                    os.kill(os.getpid(), number)
                    while any(text.count("told") < count for text in self.told()):
                        await anyio.sleep(0.02)
        return self.told()


@pytest.mark.anyio
async def test_second_signal_is_passed_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    running = StubbornGrid(tmp_path, monkeypatch)
    started = time.monotonic()
    assert await running.run_until_told(signal.SIGINT, signal.SIGTERM) == ["up\ntold 2\ntold 15\n"] * 2
    assert time.monotonic() - started < grid.STOP_MARGIN_SECONDS
    assert [process.returncode for process in running.started] == [7, 7]


@pytest.mark.anyio
async def test_the_autorouter_starts_once_every_edge_is_healthy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Watched(StubbornGrid):
        async def spawn(self, member: Member, environment: dict[str, str]) -> asyncio.subprocess.Process:
            before.append((member.name, self.told()[1].startswith("up")))
            return await super().spawn(member, environment)

    before: list[tuple[str, bool]] = []
    await Watched(tmp_path, monkeypatch).run_until_told(signal.SIGINT, signal.SIGTERM)
    assert before == [("member-1", False), ("member-0", True)]


@pytest.mark.anyio
async def test_every_run_has_a_secret_of_its_own_that_its_services_share(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = set()
    for number in range(2):
        running = StubbornGrid(tmp_path, monkeypatch)
        await running.run_until_told(signal.SIGINT, signal.SIGTERM)
        assert len(running.secrets) == 2
        assert len(set(running.secrets)) == 1
        seen.update(running.secrets)
        assert len(seen) == number + 1
    assert all(len(secret) >= 32 for secret in seen)


@pytest.mark.anyio
async def test_secret_of_the_settings_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    running = StubbornGrid(tmp_path, monkeypatch, internal_secret="chosen")
    await running.run_until_told(signal.SIGINT, signal.SIGTERM)
    assert running.secrets == ["chosen"] * 2


@pytest.mark.anyio
async def test_service_that_does_not_end_is_killed_when_its_time_is_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(grid, "STOP_MARGIN_SECONDS", 0.3)
    running = StubbornGrid(tmp_path, monkeypatch)
    assert await running.run_until_told(signal.SIGTERM) == ["up\ntold 15\n"] * 2
    assert [process.returncode for process in running.started] == [-signal.SIGKILL] * 2


@pytest.mark.anyio
async def test_service_that_ends_stops_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grid, "STOP_MARGIN_SECONDS", 0.3)
    running = StubbornGrid(tmp_path, monkeypatch)
    with anyio.fail_after(30), pytest.raises(GridError, match="member-0 ended with status -9"):
        await running.run(lambda: running.started[1].kill())
    assert all(process.returncode is not None for process in running.started)


@pytest.mark.anyio
async def test_service_that_does_not_start_is_told_with_the_last_line_of_this_run(tmp_path: Path) -> None:
    toronto = regions.load(regions.default_path()).get("yto-01")
    assert toronto is not None
    logs = tmp_path / "logs"
    logs.mkdir()
    (logs / "yto-01.log").write_text("of an earlier run\n")
    plan = grid.plan([toronto], 8080, logs)
    plan = replace(
        plan,
        autorouter=replace(plan.autorouter, arguments=("autorouter", "--port", "-1")),
        edges=(replace(plan.edges[0], arguments=("edge", "--port", "-1")),),
    )
    with pytest.raises(grid.GridError) as caught:
        await grid.Grid(plan, Settings(home=tmp_path, cache=tmp_path)).run(lambda: None)
    told, _, where = str(caught.value).partition("\n")
    assert told.startswith("yto-01 ended with status 2: error: NEAREDGE_EDGE_PORT: ")
    assert where == f"see {logs / 'yto-01.log'}"
    assert (logs / "yto-01.log.1").read_text() == "of an earlier run\n"
