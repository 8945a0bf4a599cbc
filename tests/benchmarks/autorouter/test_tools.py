from pathlib import Path

import pytest

from benchmarks.autorouter import tools
from benchmarks.processes import BenchmarkError


@pytest.fixture
def bare_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that has none of the programs."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(tools, "SEARCHED", str(tmp_path))
    monkeypatch.setattr(tools, "NGINX_GEOIP2", tmp_path / "ngx_http_geoip2_module.so")


@pytest.mark.usefixtures("bare_machine")
def test_missing_programs_are_told_with_the_command_that_installs_them() -> None:
    with pytest.raises(BenchmarkError, match=r"`apt-get install wrk dnsperf` as root"):
        tools.require(["wrk", "dnsperf"])
    with pytest.raises(BenchmarkError, match="nginx libnginx-mod-http-geoip2"):
        tools.require(["nginx"])


@pytest.mark.usefixtures("bare_machine")
def test_a_program_without_its_module_is_not_enough(tmp_path: Path) -> None:
    program = tmp_path / "nginx"
    program.touch(mode=0o755)
    with pytest.raises(BenchmarkError, match="needs Debian's libnginx-mod-http-geoip2:"):
        tools.require(["nginx"])
    tools.NGINX_GEOIP2.touch()
    tools.require(["nginx"])


def test_programs_of_root_are_found_without_roots_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sbin").mkdir()
    (tmp_path / "sbin" / "nginx").touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(tools, "SEARCHED", str(tmp_path / "sbin"))
    assert tools.program("nginx") == str(tmp_path / "sbin" / "nginx")
