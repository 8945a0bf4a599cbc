"""What becomes of an edge is soon known to the autorouter, which then sends nobody there."""

import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from tests.e2e.grids import Grid
from tests.e2e.services import free_ports, service

DRAIN_DELAY_SECONDS = 6.0

NEXT_POLL_SECONDS = 1.2
"""Polls begin a second after each other, give or take a fifth."""

DOWN_SECONDS = 3 * NEXT_POLL_SECONDS + 1.0
"""Three misses in a row, the last of which takes its whole second."""

UP_SECONDS = 10 * NEXT_POLL_SECONDS

SLACK_SECONDS = 2.0
"""A busy machine is slower than the clock."""


@pytest.fixture(scope="module")
def own_grid(
    _no_foreign_settings: None, geoip_file: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Grid]:
    """A grid of edges without models, to be broken."""
    home = tmp_path_factory.mktemp("grid")
    settings = {"edge_models": "", "geoip_file": geoip_file, "drain_delay_seconds": DRAIN_DELAY_SECONDS}
    arguments = ("up", "--json", "--port", free_ports(3), "--home", home / "state")
    with service(home / "log", *arguments, **settings) as up:
        yield Grid.parse(up.read_line(), home / "state", up)


def seconds_until(grid: Grid, region: str, most: float) -> float:
    """Return how long it took until the autorouter answers *region*, at most *most* seconds."""
    started = time.monotonic()
    while True:
        answer = httpx.get(f"{grid.autorouter}/v1/route", trust_env=False).json()
        passed = time.monotonic() - started
        if answer["region"] == region:
            assert not answer["degraded"]
            return passed
        assert passed < most, f"still {answer}; the log ends with\n{grid.service.tail()}"
        time.sleep(0.05)


def test_an_edge_that_hangs_is_left_and_found_again(own_grid: Grid, measured: Callable[[str], None]) -> None:
    seconds_until(own_grid, "yto-01", SLACK_SECONDS)
    edge = psutil.Process(own_grid.edge_pid("yto-01"))
    edge.suspend()
    try:
        down = seconds_until(own_grid, "nyc-01", DOWN_SECONDS + SLACK_SECONDS)
        assert down > 1.0
    finally:
        edge.resume()
    up = seconds_until(own_grid, "yto-01", UP_SECONDS + SLACK_SECONDS)
    assert up > 5.0
    measured(f"an edge that hangs is left after {down:.1f} s, and found again after {up:.1f} s")


def test_an_edge_that_is_told_to_stop_is_left_while_it_still_answers(
    own_grid: Grid, measured: Callable[[str], None]
) -> None:
    """The last test of its grid: `nearedge up` ends with the first of its services."""
    seconds_until(own_grid, "yto-01", UP_SECONDS + SLACK_SECONDS)
    psutil.Process(own_grid.edge_pid("yto-01")).send_signal(signal.SIGTERM)
    left = seconds_until(own_grid, "nyc-01", NEXT_POLL_SECONDS + SLACK_SECONDS)
    assert left < DRAIN_DELAY_SECONDS
    assert httpx.get(f"{own_grid.edges['yto-01']}/docs", trust_env=False).status_code == 200
    measured(f"an edge that is told to stop is left after {left:.1f} s")


def test_no_log_has_the_secret_of_the_grid(own_grid: Grid) -> None:
    (secret,) = {
        process.environ()["NEAREDGE_INTERNAL_SECRET"]
        for process in psutil.Process(own_grid.service.pid).children()
    }
    assert len(secret) >= 32
    logs = [own_grid.service.log, *own_grid.home.rglob("*.log")]
    assert all(secret not in log.read_text("utf-8", "replace") for log in logs)
