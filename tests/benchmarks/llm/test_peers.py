from pathlib import Path

import pytest

from benchmarks.llm import peers
from benchmarks.llm.peers import server_requirements
from benchmarks.processes import BenchmarkError


def test_what_the_bundled_server_needs_is_read_from_the_bindings() -> None:
    declared = [
        "numpy>=1.20",
        'fastapi>=0.100; extra == "server"',
        'pytest; extra == "test"',
        'x; python_version < "3"',
    ]
    assert server_requirements(declared) == ["numpy>=1.20", "fastapi>=0.100"]


def test_peers_that_are_not_there_are_told_with_the_command_that_makes_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NEAREDGE_CACHE", str(tmp_path))
    with pytest.raises(BenchmarkError, match=r"python -m benchmarks\.llm\.peers"):
        peers.find()


def test_a_missing_compiler_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEAREDGE_CACHE", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BenchmarkError, match="cmake is not on the PATH"):
        peers.make(jobs=1)
