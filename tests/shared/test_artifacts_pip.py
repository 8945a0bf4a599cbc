import io
import tarfile
import zipfile
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.artifacts import Silent, SourceFailed
from shared.artifacts.pip import _is_sdist_of, download_wheel, locate_sdist
from shared.artifacts.sources import Package

WHEEL = Package("some-model", "1.0", wheel=True)
SDIST = Package("some-model", "1.0", wheel=False)


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a directory that pip takes for its only index."""
    links = tmp_path / "links"
    links.mkdir()
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(links))
    return links


def add_wheel(links: Path) -> None:
    info = "some_model-1.0.dist-info"
    with zipfile.ZipFile(links / "some_model-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("some_model/__init__.py", "raise SystemExit('imported')")
        wheel.writestr("some_model/model.bin", "weights")
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: some-model\nVersion: 1.0\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")


def add_sdist(links: Path, marker: Path) -> Path:
    path = links / "some_model-1.0.tar.gz"
    with tarfile.open(path, "w:gz") as sdist:
        for name, text in {
            "PKG-INFO": "Metadata-Version: 2.1\nName: some-model\nVersion: 1.0\nRequires-Python: <3\n",
            "setup.py": f"open({str(marker)!r}, 'w').close()",
            "model.bin": "weights",
        }.items():
            info = tarfile.TarInfo(f"some_model-1.0/{name}")
            info.size = len(text)
            sdist.addfile(info, io.BytesIO(text.encode()))
    return path


def test_a_wheel_is_fetched_and_not_installed(index: Path, tmp_path: Path) -> None:
    add_wheel(index)
    download_wheel(WHEEL, tmp_path / "a.whl", Silent())
    with zipfile.ZipFile(tmp_path / "a.whl") as wheel:
        assert wheel.read("some_model/model.bin") == b"weights"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.whl", "links"]


def test_a_source_distribution_is_never_taken_for_a_wheel(index: Path, tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    add_sdist(index, marker)
    with pytest.raises(SourceFailed, match=r"No matching distribution found for some-model==1\.0"):
        download_wheel(WHEEL, tmp_path / "a.whl", Silent())
    assert not marker.exists()
    assert not (tmp_path / "a.whl").exists()


def test_a_source_distribution_is_found_without_running_it(index: Path, tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    add_wheel(index)
    path = add_sdist(index, marker)
    found = urlsplit(locate_sdist(SDIST, tmp_path))
    assert (found.scheme, Path(found.path)) == ("file", path)
    assert not marker.exists()


def test_a_missing_source_distribution_is_told(index: Path, tmp_path: Path) -> None:
    add_wheel(index)
    with pytest.raises(SourceFailed, match=r"no source distribution of some-model 1.0"):
        locate_sdist(SDIST, tmp_path)
    with pytest.raises(SourceFailed, match="No matching distribution found for other"):
        locate_sdist(Package("other", "1", wheel=False), tmp_path)


def test_an_index_that_cannot_be_reached_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    monkeypatch.delenv("PIP_EXTRA_INDEX_URL", raising=False)
    with pytest.raises(SourceFailed, match="index cannot be reached"):
        download_wheel(WHEEL, tmp_path / "a.whl", Silent())


def test_an_environment_without_pip_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from importlib.metadata import PackageNotFoundError

    from shared.artifacts import pip

    def version(name: str) -> str:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(pip, "version", version)
    with pytest.raises(SourceFailed, match="python -m ensurepip"):
        download_wheel(WHEEL, tmp_path / "a.whl", Silent())


parts = st.lists(st.from_regex(r"[A-Za-z0-9]{1,6}", fullmatch=True), min_size=1, max_size=3)


@given(parts, st.sampled_from(["-", "_", ".", "--"]), st.sampled_from(["-", "_", "."]))
def test_names_match_however_they_are_joined(words: list[str], given_as: str, filed_as: str) -> None:
    package = Package(given_as.join(words), "1.2", wheel=False)
    assert _is_sdist_of(package, f"{filed_as.join(words).lower()}-1.2.tar.gz")
    assert not _is_sdist_of(package, f"{filed_as.join(words)}-1.2.1.tar.gz")
    assert not _is_sdist_of(package, f"{filed_as.join(words)}-1.2-py3-none-any.whl")
    assert not _is_sdist_of(package, f"extra-{filed_as.join(words)}-1.2.tar.gz")
