import json
import subprocess
import sys
from pathlib import Path

import pytest

from edge.engines.repack import __main__ as main
from edge.engines.repack import speed
from edge.engines.repack.speed import Gain
from shared.settings import environment_for

ORDER = ["Q4_0", "Q8_0"]


@pytest.fixture(autouse=True)
def one_core(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(main, "available_cpus", lambda: 1)


def rule(monkeypatch: pytest.MonkeyPatch, *, ratios: list[float], gains: list[float]) -> None:
    """Have what is measured of one layout after the other come out so."""
    found, sped = iter(ratios), iter(gains)

    def compare(*args: object, limit: float) -> tuple[float, float, float]:
        ratio = next(found)
        return 20.0, 20.0 * ratio, ratio

    def gain(*args: object, threads: int) -> Gain:
        value = next(sped)
        return Gain(value, value)

    monkeypatch.setattr(main, "compare", compare)
    monkeypatch.setattr(speed, "gain", gain)


@pytest.mark.parametrize(
    ("ratios", "gains", "taken"),
    [
        ([1.0], [1.5], "Q4_0"),
        ([1.02], [1.2], "Q4_0"),
        ([1.021, 1.01], [2.0], "Q8_0"),
        ([0.99, 1.01], [1.19, 1.4], "Q8_0"),
    ],
)
def test_the_first_layout_that_is_good_and_fast_is_taken(
    file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    ratios: list[float],
    gains: list[float],
    taken: str,
) -> None:
    rule(monkeypatch, ratios=ratios, gains=gains)
    target = tmp_path / "out.gguf"
    verdict = main._choose(file, target, ORDER)
    assert verdict["taken"] == taken
    assert verdict["perplexity_ratio"] == ratios[-1]
    assert verdict["faster"] == {"1": gains[-1], "16": gains[-1]}
    assert len(verdict["tried"]) == len(ratios) - 1
    assert target.stat().st_size > 10_000


def test_nothing_is_taken_when_nothing_is_good_and_fast(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rule(monkeypatch, ratios=[1.5, 1.0], gains=[1.0])
    target = tmp_path / "out.gguf"
    verdict = main._choose(file, target, ORDER)
    assert verdict == {
        "taken": None,
        "tried": [
            "Q4_0: perplexity 1.500 times the published one",
            "Q8_0: only 1.00 times as fast",
        ],
    }
    assert not target.exists()


@pytest.mark.parametrize(("published", "taken"), [(0.0, "Q8_0"), (0.3, "Q8_0"), (0.5, "Q4_0")])
def test_a_layout_is_no_less_steady_than_the_published_one(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, published: float, taken: str
) -> None:
    rule(monkeypatch, ratios=[1.0, 1.0], gains=[2.0])
    target = tmp_path / "out.gguf"
    values = iter([0.5, published, 0.0])
    monkeypatch.setattr(main, "wobble", lambda model, threads: next(values))
    verdict = main._choose(file, target, ORDER)
    assert verdict["taken"] == taken
    unsteady = ["Q4_0: logits move by up to 0.5 with who else is served"]
    assert verdict["tried"] == ([] if taken == "Q4_0" else unsteady)


def test_the_command_tells_what_it_measured(file: Path, tmp_path: Path) -> None:
    target = tmp_path / "out.gguf"
    command = [sys.executable, "-P", "-m", "edge.engines.repack", str(file), str(target), *ORDER]
    done = subprocess.run(command, capture_output=True, timeout=100, env=environment_for({}), check=True)
    *said, verdict = map(json.loads, done.stdout.splitlines())
    assert said
    assert all(line["say"].split(":")[0] in ORDER for line in said)
    assert verdict["taken"] in {*ORDER, None}
    assert target.exists() == (verdict["taken"] is not None)


def test_a_file_that_is_no_model_ends_the_command(tmp_path: Path) -> None:
    source = tmp_path / "no.gguf"
    source.write_bytes(b"GGUF" + bytes(100))
    command = [sys.executable, "-P", "-m", "edge.engines.repack", str(source), str(tmp_path / "o"), "Q8_0"]
    done = subprocess.run(command, capture_output=True, timeout=100, env=environment_for({}), check=False)
    assert done.returncode == 1
    assert b"no.gguf is not a model that llama.cpp can load" in done.stderr
