import argparse
import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from benchmarks import command
from benchmarks.machine import QUIET
from benchmarks.processes import BenchmarkError
from benchmarks.report import Section


def section(name: str) -> Section:
    return Section(workload=name, reproduce=f"measure {name}", about="", conditions=QUIET, tables=())


def good(prepared: str) -> Section:
    return section(f"good {prepared}")


def bad(_prepared: str) -> Section:
    raise BenchmarkError("no memory")


WORKLOADS: Mapping[str, command.Workload[str]] = {"bad": bad, "good": good}


def parse(*words: str) -> argparse.Namespace:
    parser = command.parser("measure", "Measures.", WORKLOADS)
    given = parser.parse_args(words)
    command.check(parser, given, WORKLOADS)
    return given


@pytest.fixture(autouse=True)
def _signals_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "end_on_signals", lambda: None)


@pytest.mark.parametrize("words", [["other"], ["--rounds", "0"]])
def test_what_cannot_be_measured_is_refused(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as raised:
        parse(*words)
    assert raised.value.code == 2
    assert "error: " in capsys.readouterr().err


def test_a_workload_that_fails_does_not_keep_the_others_from_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "found.json"
    scratches: list[Path] = []

    def prepare(scratch: Path) -> str:
        assert scratch.is_dir()
        scratches.append(scratch)
        return "prepared"

    status = command.measure(parse("--json", str(file)), WORKLOADS, {"cores": 2}, prepare)
    written = capsys.readouterr()
    assert status == 1
    assert "bad failed: no memory" in written.err
    assert "cores 2" in written.out
    assert "## good prepared" in written.out
    found = json.loads(file.read_text())
    assert found["machine"] == {"cores": 2}
    assert [item["workload"] for item in found["sections"]] == ["good prepared"]
    assert not scratches[0].exists()


def test_only_what_is_named_is_measured(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.measure(parse("good"), WORKLOADS, {}, lambda scratch: "x") == 0
    assert "bad" not in capsys.readouterr().err


def test_what_cannot_be_prepared_ends_the_run(capsys: pytest.CaptureFixture[str]) -> None:
    def prepare(_scratch: Path) -> str:
        raise BenchmarkError("there is no GeoIP file")

    assert command.measure(parse(), WORKLOADS, {}, prepare) == 1
    assert "error: there is no GeoIP file" in capsys.readouterr().err


def test_an_interrupted_run_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    def prepare(_scratch: Path) -> str:
        raise KeyboardInterrupt

    assert command.measure(parse(), WORKLOADS, {}, prepare) == 130
    assert "interrupted" in capsys.readouterr().err
