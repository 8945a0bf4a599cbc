from collections.abc import Iterator
from pathlib import Path

import pytest

from shared.artifacts import SourceFailed
from shared.artifacts.hub import download
from shared.artifacts.progress import Meter, Silent
from shared.artifacts.sources import HubFile
from tests.file_server import FileServer, Served, file_server

SOURCE = HubFile("owner/repo", "main", "onnx/model.bin")
BODY = b"weights" * 1000


class Metered(Silent, Meter):
    def __init__(self) -> None:
        self.shown: list[int] = []

    def meter(self, label: str, total_bytes: int | None = None):  # type: ignore[no-untyped-def]
        from contextlib import nullcontext

        return nullcontext(self)

    def show(self, done_bytes: int, total_bytes: int | None) -> None:
        self.shown.append(done_bytes)


def point_to(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the hub library, which reads its settings when it is imported, ask *url*."""
    template = url + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", url)
    monkeypatch.setattr("huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr("time.sleep", lambda _seconds: None)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[FileServer]:
    with file_server() as server:
        point_to(server.url, monkeypatch)
        yield server


def test_a_file_is_fetched_and_measured(hub: FileServer, tmp_path: Path) -> None:
    headers = {"X-Repo-Commit": "c" * 40, "X-Linked-Size": str(len(BODY))}
    hub.serve("/owner/repo/resolve/main/onnx/model.bin", Served(BODY, etag=f'"{"e" * 64}"', headers=headers))
    hub.serve(f"/owner/repo/resolve/{'c' * 40}/onnx/model.bin", Served(BODY, headers=headers))
    progress = Metered()
    path = download(SOURCE, tmp_path, progress, size_bytes=len(BODY))
    assert path.read_bytes() == BODY
    assert path.is_relative_to(tmp_path)
    assert progress.shown[-1] == len(BODY)


def test_a_file_that_is_not_there_is_told(hub: FileServer, tmp_path: Path) -> None:
    missing = Served(statuses=[404] * 9, headers={"X-Error-Code": "EntryNotFound"})
    hub.serve("/owner/repo/resolve/main/onnx/model.bin", missing)
    with pytest.raises(SourceFailed, match="404"):
        download(SOURCE, tmp_path, Silent(), size_bytes=1)


def test_a_hub_that_cannot_be_reached_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    point_to("http://127.0.0.1:9", monkeypatch)
    with pytest.raises(SourceFailed, match=r"\w+Error"):
        download(SOURCE, tmp_path, Silent(), size_bytes=1)
