import sys
from pathlib import Path

import pytest

from benchmarks.autorouter.cores import Cores
from benchmarks.autorouter.servers import ServerSpec, autorouter, bare, nginx_by_map, serving
from benchmarks.processes import BenchmarkError

CORE = Cores.here().server


def test_the_bare_app_is_yielded_once_it_answers(tmp_path: Path) -> None:
    with serving([bare({"region": "yto-01"})], tmp_path, core=CORE) as (server,):
        assert server.spec.answers(server.port)
        assert server.process.cpu_affinity() == [CORE]
    assert not server.process.is_running()


def test_a_server_that_does_not_start_is_told_with_its_log(tmp_path: Path) -> None:
    spec = ServerSpec("bad", (sys.executable, "-c", "raise SystemExit('no memory')"))
    with pytest.raises(BenchmarkError, match="no memory"), serving([spec], tmp_path, core=CORE):
        pytest.fail("it must not be yielded")


def test_an_autorouter_believes_the_loopback_and_is_as_it_comes_otherwise(tmp_path: Path) -> None:
    spec = autorouter(tmp_path / "home", Path("/geo.mmdb"))
    assert spec.environment == {
        "NEAREDGE_GEOIP_FILE": "/geo.mmdb",
        "NEAREDGE_AUTOROUTER_TRUSTED_PROXIES": "127.0.0.1/32",
    }
    assert "-m nearedge autorouter" in spec.shown()
    other = autorouter(tmp_path / "home", Path("/geo.mmdb"), regions_file=Path("/world.yaml"))
    assert other.environment["NEAREDGE_REGIONS_FILE"] == "/world.yaml"


def test_what_a_server_reads_is_written_for_its_port(tmp_path: Path) -> None:
    spec = nginx_by_map(tmp_path / "nginx", Path("/geo.mmdb"), {}, {"region": "yto-01"})
    spec.prepare(8123)
    assert "listen 127.0.0.1:8123;" in (tmp_path / "nginx" / "nginx.conf").read_text()
