import os
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import psutil
import pytest

from benchmarks.autorouter import bench as module
from benchmarks.autorouter import dnsperf, wrk
from benchmarks.autorouter.bench import Bench, Callers
from benchmarks.autorouter.cores import Cores
from benchmarks.autorouter.load import Load
from benchmarks.autorouter.servers import Server, ServerSpec
from benchmarks.grid import Point
from tests.autorouter import mmdb


@pytest.fixture
def make(tmp_path: Path) -> Callable[[int], Bench]:
    place = {"country": {"iso_code": "CA"}, "location": {"latitude": 43.7, "longitude": -79.4}}
    file = mmdb.write(tmp_path / "test.mmdb", {"0.0.0.0/2": place, "2a00::/12": {}})

    def made(rounds: int = 3) -> Bench:
        return Bench(
            rounds=rounds,
            seed=1,
            seconds=4,
            connections=8,
            smoke=False,
            geoip_file=file,
            cores=Cores(0, 0),
            scratch=tmp_path,
            say=lambda line: None,
        )

    return made


def server(name: str, dns_name: str | None = None) -> Server:
    return Server(ServerSpec(name, ("true",), dns_name=dns_name), 1, psutil.Process(os.getpid()))


def test_the_same_seed_draws_the_same_callers(
    make: Callable[[int], Bench],
) -> None:
    assert make(1).draw(50, "a") == make(2).draw(50, "a")
    assert make(1).draw(50, "a") != make(1).draw(50, "b")


def test_places_are_those_of_callers_that_the_file_knows(make: Callable[[int], Bench]) -> None:
    assert {place.country for place in islice(make(1).places("a"), 20)} == {"CA"}


def test_callers_are_written_one_a_line(make: Callable[[int], Bench]) -> None:
    bench = make(1)
    drawn = bench.draw(20, "a")
    callers = bench.write_callers("twenty", drawn)
    assert callers.addresses.read_text().splitlines() == list(map(str, drawn))
    assert (callers.count, callers.queries) == (20, None)
    asked = bench.write_callers("dns", drawn, dns_name="nearest.route.test").queries
    assert asked is not None
    assert asked.stat().st_size > 20 * 40


def test_the_command_measures_the_same_again(make: Callable[[int], Bench]) -> None:
    assert make(3).reproduce("choose") == (
        "python -m benchmarks.autorouter choose --rounds 3 --seconds 4 --connections 8 --seed 1"
    )


def test_every_server_is_measured_at_every_point_in_every_round(
    make: Callable[[int], Bench], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, str, int, int | None]] = []

    def put(
        self: Bench, server: Server, callers: Callers, *, begin: int = 0, seconds: int | None = None
    ) -> Load:
        asked.append((server.name, callers.addresses.name, begin, seconds))
        return Load(len(asked), 1.0, 1.0, 1.0)

    monkeypatch.setattr(Bench, "put", put)
    points: dict[Point, Callers] = {"many": Callers(Path("many"), 300), "one": Callers(Path("one"), 1)}
    results = make(3).interleave([server("a"), server("b")], points)
    warm_up, measured = asked[:4], asked[4:]
    assert sorted(warm_up) == [(name, file, 0, 1) for name in "ab" for file in ("many", "one")]
    assert len(measured) == 3 * 2 * 2
    assert {begin for _, file, begin, _ in measured if file == "many"} == {0, 100, 200}
    for number in range(3):
        per_round = measured[number * 4 : number * 4 + 4]
        assert [file for _, file, *_ in per_round] == ["many", "many", "one", "one"]
        assert {name for name, *_ in per_round[:2]} == {"a", "b"}
    assert {name: len(loads) for name, loads in results["many"].items()} == {"a": 3, "b": 3}


def test_processor_time_is_that_of_the_server_for_one_request(
    make: Callable[[int], Bench], monkeypatch: pytest.MonkeyPatch
) -> None:
    spent = iter([10.0, 12.0])
    monkeypatch.setattr(module, "cpu_seconds", lambda process: next(spent))
    monkeypatch.setattr(wrk, "ask", lambda url, callers, **options: Load(1000, 4.0, 1.0, 2.0))
    found = make(1).put(server("a"), Callers(Path("many"), 300))
    assert (found.requests, found.cpu_us) == (1000, 2000.0)


def test_latencies_over_dns_are_of_a_run_of_their_own(
    make: Callable[[int], Bench], monkeypatch: pytest.MonkeyPatch
) -> None:
    spent = iter([10.0, 12.0])
    lasted: list[int] = []

    def rate(port: int, queries: Path, *, seconds: int, outstanding: int, core: int) -> Load:
        lasted.append(seconds)
        return Load(1000, 4.0, 0.0, 0.0)

    def latencies(port: int, queries: Path, *, seconds: int, outstanding: int, core: int) -> list[float]:
        lasted.append(seconds)
        return [0.001] * 99 + [0.1]

    monkeypatch.setattr(module, "cpu_seconds", lambda process: next(spent))
    monkeypatch.setattr(dnsperf, "rate", rate)
    monkeypatch.setattr(dnsperf, "latencies", latencies)
    callers = Callers(Path("many"), 300, queries=Path("queries"))
    found = make(1).put(server("dns", "nearest.route.test"), callers)
    assert lasted == [4, 1]
    assert (found.p50_ms, found.cpu_us) == (1.0, 2000.0)
    assert found.p99_ms == pytest.approx(1.99)
