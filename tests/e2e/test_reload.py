"""A new regions.yaml for an autorouter that runs."""

import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.autorouter import mmdb
from tests.e2e.services import Service, free_ports, service

REGION = '  - {{id: {id}, name: N, location: L, country: CA, lat: 0, lon: 0, url: "http://{id}.test"}}\n'


@dataclass(frozen=True)
class LoneAutorouter:
    url: str
    regions: Path
    service: Service

    def write(self, *ids: str) -> None:
        self.regions.write_text("regions:\n" + "".join(REGION.format(id=id_) for id_ in ids))

    def chosen(self) -> str:
        answer = httpx.get(f"{self.url}/v1/route", trust_env=False)
        assert answer.status_code == 200
        region: str = answer.json()["region"]
        return region

    def until_it_chooses(self, region: str) -> None:
        deadline = time.monotonic() + 10
        while self.chosen() != region:
            assert time.monotonic() < deadline, self.service.tail()
            time.sleep(0.02)

    def hang_up(self) -> None:
        self.service.process.send_signal(signal.SIGHUP)


@pytest.fixture
def autorouter(_no_foreign_settings: None, tmp_path: Path) -> Iterator[LoneAutorouter]:
    regions = tmp_path / "regions.yaml"
    regions.write_text("regions:\n" + REGION.format(id="old-01"))
    geoip_file = mmdb.write(tmp_path / "test.mmdb", {})
    settings = {"geoip_file": geoip_file, "regions_file": regions, "drain_delay_seconds": 0}
    url = f"http://127.0.0.1:{(port := free_ports(1))}"
    arguments = ("autorouter", "--port", port, "--home", tmp_path)
    with service(tmp_path / "log", *arguments, **settings) as running:
        running.wait_until_healthy(url)
        yield LoneAutorouter(url, regions, running)
        running.stop()


def test_a_good_file_is_taken_up_and_no_request_fails(autorouter: LoneAutorouter) -> None:
    seen: set[str] = set()
    failures: list[object] = []
    stop = threading.Event()

    def ask() -> None:
        with httpx.Client(base_url=autorouter.url, trust_env=False) as client:
            while not stop.is_set():
                try:
                    answer = client.get("/v1/route")
                    seen.add(answer.json()["region"])
                except (httpx.HTTPError, ValueError, KeyError) as error:
                    failures.append(error)

    callers = [threading.Thread(target=ask) for _ in range(4)]
    for caller in callers:
        caller.start()
    try:
        for number in range(10):
            autorouter.write(f"new-{number:02}", "old-01")
            autorouter.hang_up()
            autorouter.until_it_chooses(f"new-{number:02}")
    finally:
        stop.set()
        for caller in callers:
            caller.join()

    assert failures == []
    assert seen <= {"old-01", *(f"new-{number:02}" for number in range(10))}
    assert "new-09" in seen


def test_a_bad_file_is_refused_with_its_line(autorouter: LoneAutorouter) -> None:
    autorouter.regions.write_text("regions:\n  - id: [a]\n")
    autorouter.hang_up()
    deadline = time.monotonic() + 10
    while "regions_refused" not in autorouter.service.tail():
        assert time.monotonic() < deadline, autorouter.service.tail()
        time.sleep(0.02)

    assert "line 2: regions[0].id: " in autorouter.service.tail()
    assert autorouter.chosen() == "old-01"

    autorouter.write("new-01")
    autorouter.hang_up()
    autorouter.until_it_chooses("new-01")


def test_hangups_that_come_thick_and_fast_end_nothing(autorouter: LoneAutorouter) -> None:
    for _ in range(200):
        autorouter.hang_up()
    autorouter.write("new-01")
    autorouter.hang_up()
    autorouter.until_it_chooses("new-01")
