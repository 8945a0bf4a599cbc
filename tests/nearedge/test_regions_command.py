import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Self

import pytest
from typer.testing import CliRunner

from nearedge.cli import app
from shared import regions


def run(*arguments: str, **settings: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, arguments, env={f"NEAREDGE_{k.upper()}": v for k, v in settings.items()})
    return result.exit_code, result.stdout, result.stderr


def test_table_shows_every_region_whole() -> None:
    code, out, err = run("regions", "list")
    assert (code, err) == (0, "")
    for region in regions.load(regions.default_path()):
        (row,) = [line for line in out.splitlines() if line.strip().startswith(region.id)]
        for shown in (region.name, region.location, region.country, region.url, *region.aliases):
            assert shown in row


def test_json_is_one_array_with_every_field() -> None:
    code, out, err = run("regions", "list", "--json")
    assert (code, err) == (0, "")
    rows = json.loads(out)
    assert [row["id"] for row in rows] == [region.id for region in regions.load(regions.default_path())]
    assert rows[0] == {
        "id": "yto-01",
        "name": "Toronto",
        "location": "Canada Central",
        "country": "CA",
        "lat": 43.65,
        "lon": -79.38,
        "url": "https://api.yto-01.edge.polargrid.ai",
        "aliases": ["toronto", "yto"],
        "discoverable": True,
    }


def test_region_that_is_not_discoverable_is_marked(tmp_path: Path) -> None:
    file = tmp_path / "grid.yaml"
    text = regions.default_path().read_text()
    file.write_text(text.replace("discoverable: true", "discoverable: false", 1))
    _, out, _ = run("regions", "list", regions_file=str(file))
    assert [line.split()[0] for line in out.splitlines() if "(not discoverable)" in line] == ["yto-01"]


@pytest.mark.parametrize("flags", [[], ["--json"]])
def test_bad_file_ends_with_its_line_and_nothing_on_stdout(tmp_path: Path, flags: list[str]) -> None:
    file = tmp_path / "grid.yaml"
    file.write_text("regions:\n  - id: [a]\n")
    code, out, err = run("regions", "list", *flags, regions_file=str(file))
    assert (code, out) == (1, "")
    assert "line 2: regions[0].id: " in err


def test_ping_shows_every_edge_and_ends_with_1_when_none_answers(tmp_path: Path) -> None:
    file = tmp_path / "grid.yaml"
    file.write_text(
        "regions:\n"
        "  - {id: b, name: Bee, location: X, country: CA, lat: 0, lon: 0, url: 'http://127.0.0.1:1'}\n"
        "  - {id: a, name: '[Eh]', location: X, country: CA, lat: 0, lon: 0, url: 'http://127.0.0.1:1'}\n"
    )
    code, out, err = run("regions", "ping", regions_file=str(file))
    assert code == 1
    assert "Asking 2 edges" in err
    assert "error: no edge answers" in err
    lines = [line.strip() for line in out.splitlines() if "refused" in line]
    assert [line.split()[0] for line in lines] == ["a", "b"]
    assert lines[0].endswith("[Eh]: Connection refused")


def test_ping_as_json_is_one_array_best_first(tmp_path: Path) -> None:
    with _Edge() as edge:
        file = tmp_path / "grid.yaml"
        file.write_text(
            "regions:\n"
            "  - {id: a, name: A, location: X, country: CA, lat: 0, lon: 0, url: 'http://127.0.0.1:1'}\n"
            f"  - {{id: b, name: B, location: X, country: CA, lat: 0, lon: 0, url: '{edge.url}'}}\n"
        )
        code, out, _ = run("regions", "ping", "--json", "--count", "3", regions_file=str(file))
        table = run("regions", "ping", "--count", "1", regions_file=str(file))[1]
    assert code == 0
    best, worst = json.loads(out)
    assert (best["region"], best["sent"], best["lost"], best["reason"]) == ("b", 3, 0, None)
    assert best["ready"] is True
    assert 0 < best["min_ms"] <= best["median_ms"] <= best["max_ms"]
    assert worst == {
        "region": "a",
        "name": "A",
        "url": "http://127.0.0.1:1",
        "ready": False,
        "median_ms": None,
        "min_ms": None,
        "max_ms": None,
        "connect_ms": None,
        "sent": 0,
        "lost": 0,
        "reason": "Connection refused",
    }
    (row,) = [line.split() for line in table.splitlines() if line.strip().startswith("b ")]
    assert row[0] == "b"
    assert row[5:] == ["0%", "B"]


@pytest.mark.parametrize("flags", [["--count", "0"], ["--timeout", "0"], ["--timeout", "nan"]])
def test_ping_refuses_what_makes_no_sense(flags: list[str]) -> None:
    assert run("regions", "ping", *flags)[0] == 2


class _Edge:
    """An edge that is healthy and does nothing else."""

    def __enter__(self) -> Self:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _Healthy)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()
        return self

    def __exit__(self, *_raised: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Healthy(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass
