import io
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from shared.artifacts.archive import Archives
from shared.artifacts.errors import DigestMismatch

Maker = Callable[[Path], Path]

NAMES = [f"pkg/voice{number}.bin" for number in range(5)]


def make_tar(path: Path) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for name in NAMES:
            info = tarfile.TarInfo(name)
            info.size = len(name)
            archive.addfile(info, io.BytesIO(name.encode()))
        link = tarfile.TarInfo("pkg/link")
        link.type = tarfile.SYMTYPE
        link.linkname = "/etc/passwd"
        archive.addfile(link)
    return path


def make_zip(path: Path) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name in NAMES:
            archive.writestr(name, name)
    return path


@pytest.mark.parametrize("make", [make_tar, make_zip])
def test_members_are_read_in_any_order(tmp_path: Path, make: Maker) -> None:
    path = make(tmp_path / "archive")
    with Archives() as archives:
        for name in [*NAMES, *reversed(NAMES)]:
            with archives.member(path, name) as stream:
                assert stream.read() == name.encode()


@pytest.mark.parametrize("name", ["pkg/none", "pkg", "pkg/link"])
def test_what_is_no_regular_file_is_not_read(tmp_path: Path, name: str) -> None:
    path = make_tar(tmp_path / "a.tar.gz")
    with (
        Archives() as archives,
        pytest.raises(DigestMismatch, match=f"no {name} in a.tar.gz"),
        archives.member(path, name),
    ):
        pass


@pytest.mark.parametrize("make", [make_tar, make_zip])
@pytest.mark.parametrize("share", [0, 0.5, 0.9])
def test_a_broken_archive_is_told(tmp_path: Path, make: Maker, share: float) -> None:
    path = tmp_path / "archive"
    make(path)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    with (
        Archives() as archives,
        pytest.raises(DigestMismatch, match="cannot be read"),
        archives.member(path, NAMES[-1]) as stream,
    ):
        stream.read()


def test_flipped_bits_in_a_wheel_are_told(tmp_path: Path) -> None:
    path = make_zip(tmp_path / "a.whl")
    content = bytearray(path.read_bytes())
    content[content.index(b"pkg/voice0.bin", 40)] ^= 1
    path.write_bytes(content)
    with (
        Archives() as archives,
        pytest.raises(DigestMismatch, match="CRC"),
        archives.member(path, NAMES[0]) as stream,
    ):
        stream.read()


def test_an_error_of_the_reader_is_not_the_archives(tmp_path: Path) -> None:
    path = make_zip(tmp_path / "a.whl")
    with Archives() as archives, pytest.raises(OSError, match="disk"), archives.member(path, NAMES[0]):
        raise OSError("disk")
