import hashlib
import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.artifacts import holds, sha256_of
from shared.artifacts.digest import copy, place
from shared.artifacts.errors import DigestMismatch


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@given(st.lists(st.binary(max_size=100), max_size=5))
def test_parts_are_joined_in_order(tmp_path_factory: pytest.TempPathFactory, parts: list[bytes]) -> None:
    whole = b"".join(parts)
    to = tmp_path_factory.mktemp("copy") / "whole"
    copy(map(io.BytesIO, parts), to, sha256=digest(whole), size_bytes=len(whole))
    assert to.read_bytes() == whole
    assert sha256_of(to) == digest(whole)


@pytest.mark.parametrize(
    ("content", "told"), [(b"abcd", "more than"), (b"ab", "2 bytes"), (b"abx", "SHA-256")]
)
def test_other_bytes_are_refused(tmp_path: Path, content: bytes, told: str) -> None:
    with pytest.raises(DigestMismatch, match=told):
        copy([io.BytesIO(content)], tmp_path / "a", sha256=digest(b"abc"), size_bytes=3)


def test_a_stream_without_end_is_cut(tmp_path: Path) -> None:
    class Endless(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            assert size is not None
            return bytes(size)

    with pytest.raises(DigestMismatch):
        copy([Endless()], tmp_path / "a", sha256=digest(b""), size_bytes=5_000_000)
    assert (tmp_path / "a").stat().st_size <= 5_000_000


def test_holds_compares_size_and_digest(tmp_path: Path) -> None:
    file = tmp_path / "a"
    assert not holds(file, sha256=digest(b"abc"), size_bytes=3)
    file.write_bytes(b"abc")
    assert holds(file, sha256=digest(b"abc"), size_bytes=3)
    assert not holds(file, sha256=digest(b"abd"), size_bytes=3)
    assert not holds(file, sha256=digest(b"abc"), size_bytes=4)


def test_place_replaces_what_a_reader_has_open(tmp_path: Path) -> None:
    target, staged = tmp_path / "target", tmp_path / "staged"
    target.write_bytes(b"old")
    staged.write_bytes(b"new")
    with target.open("rb") as reader:
        place(staged, target)
        assert reader.read() == b"old"
    assert target.read_bytes() == b"new"
    assert not staged.exists()
