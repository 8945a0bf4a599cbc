import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import gguf
import orjson
import pytest

from edge.models import repack
from edge.models.gguf_header import read_header
from edge.models.manifest import Weights
from edge.models.repack import candidates, convert, layout_of
from shared.artifacts import ArtifactError, Silent, SourceFailed
from tests.edge.tiny_llama import write_llama

VERDICT = {
    "taken": "Q8_0",
    "tried": ["Q4_0: perplexity 1.2 times the published one"],
    "perplexity": 20.123456,
    "published_perplexity": 20.0,
    "perplexity_ratio": 1.0061728,
    "faster": {"1": 1.234, "16": 2.0},
    "overall": 1.6,
}


class Told(Silent):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, message: str) -> None:
        self.lines.append(message)


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_llama(tmp_path_factory.mktemp("llama") / "tiny.gguf")


def child(
    monkeypatch: pytest.MonkeyPatch, *messages: Any, status: int = 0, makes: bytes | None = None
) -> list[Sequence[str]]:
    """Stand in for the process: it prints *messages* and leaves the file *makes*. Returns its commands."""
    commands = []

    def run_lines(command: Sequence[str], on_line: Callable[[str], None], **_limits: object) -> int:
        commands.append(command)
        if makes is not None:
            Path(command[5]).write_bytes(makes)
        for message in messages:
            on_line(message if isinstance(message, str) else orjson.dumps(message).decode())
        return status

    monkeypatch.setattr(repack, "run_lines", run_lines)
    return commands


def test_the_layout_that_won_is_what_runs(
    llama: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands = child(monkeypatch, {"say": "Q4_0: too far off"}, "native noise", VERDICT, makes=b"new")
    output, told = tmp_path / "out.gguf", Told()
    weights = convert({"published": llama}, output, told)
    assert weights == Weights(
        layout="Q8_0",
        published_layout="F16",
        perplexity=20.1235,
        published_perplexity=20.0,
        perplexity_ratio=1.0062,
        speedup={"1": 1.23, "16": 2.0},
        tried="Q4_0: perplexity 1.2 times the published one",
    )
    assert output.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [output]
    assert told.lines[1:] == ["Q4_0: too far off", "taking the layout Q8_0"]
    assert commands[0][6:] == ["Q4_0", "Q8_0"]


@pytest.mark.parametrize(
    ("messages", "status", "reason"),
    [
        ([{"taken": None, "tried": ["Q4_0: slow", "Q8_0: slow"]}], 0, "Q4_0: slow; Q8_0: slow"),
        (["llama: boom"], -11, "could not be measured: llama: boom"),
        ([], -6, "could not be measured: the process ended with status -6"),
        ([VERDICT], -6, "could not be measured: the process ended with status -6"),
        ([{"say": "x"}, "[1]", "12"], 0, "could not be measured: 12"),
    ],
)
def test_otherwise_the_published_file_runs(
    llama: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    messages: list[Any],
    status: int,
    reason: str,
) -> None:
    child(monkeypatch, *messages, status=status, makes=b"half of a file")
    output, told = tmp_path / "out.gguf", Told()
    weights = convert({"published": llama}, output, told)
    assert weights == Weights(layout="F16", published_layout="F16", tried=reason)
    assert output.read_bytes() == llama.read_bytes()
    assert list(tmp_path.iterdir()) == [output]
    assert told.lines[-1] == f"keeping the published layout, F16: {reason}"


def test_a_process_that_takes_too_long_is_given_up(
    llama: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run_lines(*_arguments: object, **_limits: object) -> int:
        raise SourceFailed("too slow in all; it was stopped")

    monkeypatch.setattr(repack, "run_lines", run_lines)
    weights = convert({"published": llama}, tmp_path / "out.gguf", Silent())
    assert weights.layout == "F16"
    assert weights.tried == "could not be measured: too slow in all; it was stopped"


def test_the_process_is_really_killed(llama: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(repack, "SECONDS", 0.01)
    weights = convert({"published": llama}, tmp_path / "out.gguf", Silent())
    assert weights.layout == "F16"
    assert "it was stopped" in weights.tried


def test_where_files_cannot_be_linked_they_are_copied(
    llama: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def link(*_arguments: object) -> None:
        raise OSError

    monkeypatch.setattr(os, "link", link)
    child(monkeypatch, {"taken": None, "tried": []})
    output = tmp_path / "out.gguf"
    convert({"published": llama}, output, Silent())
    assert output.read_bytes() == llama.read_bytes()
    assert output.stat().st_nlink == 1


def test_the_real_process_measures_a_model(llama: Path, tmp_path: Path) -> None:
    output, told = tmp_path / "out.gguf", Told()
    weights = convert({"published": llama}, output, told)
    assert weights.published_layout == "F16"
    header = read_header(output)
    assert (weights.layout == "F16") == (output.read_bytes() == llama.read_bytes())
    assert layout_of(header) == weights.layout
    assert "could not be measured" not in weights.tried
    assert len(told.lines) >= 3


def test_a_damaged_file_is_an_error(tmp_path: Path) -> None:
    file = tmp_path / "no.gguf"
    file.write_bytes(b"GGUF" + bytes(3))
    with pytest.raises(ArtifactError, match=r"no\.gguf cannot be used"):
        convert({"published": file}, tmp_path / "out.gguf", Silent())


def test_only_other_layouts_are_tried(llama: Path, tmp_path: Path) -> None:
    assert candidates(read_header(llama)) == ["Q4_0", "Q8_0"]
    eight = tmp_path / "eight.gguf"
    writer = gguf.GGUFWriter(eight, "llama")
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_Q8_0)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    assert layout_of(read_header(eight)) == "Q8_0"
    assert candidates(read_header(eight)) == ["Q4_0"]
