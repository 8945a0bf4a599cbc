from pathlib import Path

import pytest

from nearedge import log_file


def test_each_run_starts_empty_and_keeps_the_one_before(tmp_path: Path) -> None:
    file = tmp_path / "logs" / "yto-01.log"
    for run in (b"first\n", b"second\n", b"third\n"):
        with log_file.renew(file) as stream:
            stream.write(run)
    assert sorted(path.name for path in file.parent.iterdir()) == ["yto-01.log", "yto-01.log.1"]
    assert file.read_bytes() == b"third\n"
    assert (tmp_path / "logs" / "yto-01.log.1").read_bytes() == b"second\n"


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (b"", ""),
        (b"\n \n", ""),
        (b"one", "one"),
        (b"one\ntwo\n\n", "two"),
        (b"caf\xe9\n", "caf\N{REPLACEMENT CHARACTER}"),
        ("é".encode() * log_file.TAIL_BYTES + b"\nend\n", "end"),
    ],
)
def test_last_line(tmp_path: Path, content: bytes, line: str) -> None:
    file = tmp_path / "log"
    file.write_bytes(content)
    assert log_file.last_line(file) == line


def test_only_the_end_of_a_long_log_is_read(tmp_path: Path) -> None:
    file = tmp_path / "log"
    with file.open("wb") as stream:
        stream.truncate(1 << 40)  # a hole that takes no space
        stream.seek(0, 2)
        stream.write(b"\nend\n")
    assert log_file.last_line(file) == "end"
