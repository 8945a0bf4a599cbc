"""What the command says where only one of the extras is installed."""

import subprocess
import sys
from pathlib import Path

import pytest

from nearedge.cli import missing_extra

WITHOUT = """
import sys
sys.modules.update(dict.fromkeys(sys.argv[1].split(",")))
del sys.argv[1]
from nearedge.cli import main
main()
"""
"""Runs the command as if the packages of its first argument were not installed."""

OF_EDGE = "aiosqlite,av,cachetools,faster_whisper,gguf,hibari,jinja2,llama_cpp,numpy,onnxruntime,sqlalchemy"


def without(packages: str, *arguments: str, home: Path) -> tuple[int, str, str]:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT, packages, *arguments],
        env={"NEAREDGE_HOME": str(home), "NEAREDGE_CACHE": str(home), "PATH": "/usr/bin"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize(
    ("packages", "arguments", "extra"),
    [
        (OF_EDGE, ("edge",), "edge"),
        (OF_EDGE, ("keys", "list"), "edge"),
        (OF_EDGE, ("up",), "edge"),
        ("geoip2,maxminddb", ("autorouter",), "autorouter"),
        ("prometheus_client", ("autorouter",), "autorouter"),
        ("geoip2,maxminddb", ("geoip", "lookup", "8.8.8.8"), "autorouter"),
    ],
)
def test_missing_extra_is_named(
    tmp_path: Path, packages: str, arguments: tuple[str, ...], extra: str
) -> None:
    code, _, told = without(packages, *arguments, home=tmp_path)
    assert (code, "Traceback" in told) == (1, False)
    assert told.startswith("error: ")
    assert f"pip install '.[{extra}]'" in told


def test_autorouter_needs_nothing_of_an_edge(tmp_path: Path) -> None:
    code, _, told = without(OF_EDGE, "autorouter", home=tmp_path)
    assert code == 1
    assert "nearedge geoip update" in told
    for command in ("regions list", "settings"):
        code, shown, _ = without(OF_EDGE, *command.split(), home=tmp_path)
        assert code == 0
        assert shown


@pytest.mark.parametrize("module", [None, "edge.absent", "shared", "tomllib"])
def test_absence_that_no_extra_mends_stays_a_traceback(module: str | None) -> None:
    assert missing_extra(module) is None
