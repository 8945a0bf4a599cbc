import os
import sys
from pathlib import Path

import httpx
import pytest

from benchmarks.llm.servers import ServerSpec, bundled, llama_server, serving
from benchmarks.processes import BenchmarkError

SLOW = """
import http.server, json, os, sys

class Handler(http.server.BaseHTTPRequestHandler):
    asked = 0

    def do_GET(self):
        Handler.asked += 1
        status = "degraded" if Handler.asked < 3 else "healthy"
        settings = sorted(name for name in os.environ if name.startswith("NEAREDGE_"))
        body = json.dumps({"status": status, "asked": Handler.asked, "settings": settings}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""


def test_a_server_is_yielded_once_its_model_is_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NEAREDGE_EDGE_THREADS", "7")
    spec = ServerSpec(
        "slow", (sys.executable, "-c", SLOW, "{port}"), {}, environment={"NEAREDGE_EDGE_QUEUE": "3"}
    )
    with serving([spec], tmp_path) as (server,):
        found = httpx.get(f"http://127.0.0.1:{server.port}/", trust_env=False).json()
        assert found["asked"] == 4
        assert "NEAREDGE_EDGE_QUEUE" in found["settings"]
        assert "NEAREDGE_EDGE_THREADS" not in found["settings"]
    assert not server.process.is_running()
    assert os.environ["NEAREDGE_EDGE_THREADS"] == "7"


def test_a_server_that_does_not_start_ends_those_before_it(tmp_path: Path) -> None:
    good = ServerSpec("slow", (sys.executable, "-c", SLOW, "{port}"), {})
    bad = ServerSpec("bad", (sys.executable, "-c", "raise SystemExit('no memory')"), {})
    with pytest.raises(BenchmarkError, match="no memory"), serving([good, bad], tmp_path):
        pytest.fail("it must not be yielded")
    port = int(next(tmp_path.glob("slow-*.log")).stem.partition("-")[2])
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"http://127.0.0.1:{port}/", trust_env=False)


def test_llama_server_chooses_its_threads_where_none_are_given() -> None:
    program, file = Path("llama-server"), Path("model.gguf")
    chosen = llama_server(program, file, "-np", 16, threads=2)
    assert chosen.command[-6:] == ("-t", "2", "-tb", "2", "-np", "16")
    assert "-t" not in llama_server(program, file, threads=None).command


def test_the_bundled_server_never_ends_early() -> None:
    spec = bundled(Path("python"), Path("model.gguf"), ends=[0, 2], threads=2)
    assert spec.extra["logit_bias"] == {"0": -100.0, "2": -100.0}
    assert spec.command[spec.command.index("--interrupt_requests") + 1] == "False"
