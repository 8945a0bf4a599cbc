from pathlib import Path
from typing import Any

import pytest
import yaml

from edge.models import CatalogueError, load_catalogue
from edge.settings import EdgeSettings

FILE = {
    "name": "model.gguf",
    "sha256": "a" * 64,
    "bytes": 10,
    "sources": ["hf:owner/repo@main#model.gguf"],
}
MODEL: dict[str, Any] = {
    "id": "tiny",
    "engine": "llm",
    "kind": "chat",
    "description": "a model",
    "owned_by": "somebody",
    "licence": "MIT",
    "released": "2024-01-02",
    "parameters": 5,
    "capabilities": ["chat"],
    "files": {"model": FILE},
}


def load(tmp_path: Path, *models: dict[str, Any]) -> Any:
    file = tmp_path / "catalogue.yaml"
    file.write_text(yaml.safe_dump({"models": list(models)}))
    return load_catalogue(file)


def test_the_shipped_catalogue_holds_what_the_edge_loads_by_default() -> None:
    catalogue = load_catalogue()
    assert [catalogue.resolve(name) for name in EdgeSettings().edge_models] != []
    assert all(catalogue.resolve(name) for name in EdgeSettings().edge_models)


@pytest.mark.parametrize(
    ("name", "model"),
    [
        ("qwen-3.5-27b", "smollm2-135m-instruct"),
        ("GPT-4o-mini", "smollm2-135m-instruct"),
        ("huggingfacetb/smollm2-135m-instruct", "smollm2-135m-instruct"),
        ("text-embedding-3-small", "all-minilm-l6-v2"),
        ("tts-1", "kokoro-82m"),
        ("hexgrad/Kokoro-82M", "kokoro-82m"),
        ("hibari", "hibari"),
        ("whisper-1", "whisper-tiny.en"),
        ("kyutai/stt-1b-en_fr", "whisper-tiny.en"),
        ("cohere-transcribe-03-2026", "whisper-tiny.en"),
        ("openai/whisper-base", "whisper-base"),
    ],
)
def test_foreign_names_lead_to_what_is_served(name: str, model: str) -> None:
    found = load_catalogue().resolve(name)
    assert found is not None
    assert found.id == model


def test_every_shipped_model_comes_from_a_package_first() -> None:
    for model in load_catalogue():
        for artifact in model.artifacts:
            assert all(str(source).startswith("pypi") for source in artifact.origins[0]), artifact.name


def test_an_unknown_name_is_no_model() -> None:
    assert load_catalogue().resolve("gpt-17") is None
    assert load_catalogue().resolve("") is None


def test_an_entry_is_read(tmp_path: Path) -> None:
    (model,) = load(tmp_path, MODEL | {"aliases": ["Owner/Tiny"], "options": {"a": 1}})
    assert (model.id, model.engine, model.kind, model.aliases) == ("tiny", "llm", "chat", ("Owner/Tiny",))
    assert model.created == 1704153600
    assert model.context_tokens is None
    assert model.options == {"a": 1}
    assert model.fetched_bytes == 10
    assert model.files["model"].name == "model.gguf"


def test_inputs_take_what_they_share_from_each(tmp_path: Path) -> None:
    each = {"bytes": 7, "sources": ["hf:o/r@main#voices/{input}.bin"]}
    inputs = {"ann": {"sha256": "b" * 64}, "bob": {"sha256": "c" * 64, "bytes": 8}}
    voices = {"name": "voices.npz", "convert": "kokoro-voices", "each": each, "inputs": inputs}
    (model,) = load(tmp_path, MODEL | {"derived": {"voices": voices}})
    ann, bob = model.derived["voices"].inputs.values()
    assert (ann.bytes, bob.bytes) == (7, 8)
    assert str(ann.origins[0][0]) == "hf:o/r@main#voices/ann.bin"
    assert str(bob.origins[0][0]) == "hf:o/r@main#voices/bob.bin"
    assert model.fetched_bytes == 25


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"engine": "mystery"}, "model tiny, engine: Input should be 'llm'"),
        ({"kind": None}, "model tiny, kind: "),
        ({"parameters": 0}, "model tiny, parameters: Input should be greater than 0"),
        ({"parameters": "5"}, "model tiny, parameters: Input should be a valid integer"),
        ({"surprise": 1}, "model tiny, surprise: Extra inputs are not permitted"),
        ({"files": {}}, "model tiny: no file has the role 'model'"),
        ({"files": {"model": FILE | {"sha256": "A" * 64}}}, "model tiny, files.model.sha256: "),
        ({"files": {"model": FILE | {"name": "../x"}}}, "model tiny, files.model.name: "),
        ({"files": {"model": FILE | {"sources": []}}}, "model tiny, files.model.sources: "),
        ({"files": {"model": FILE | {"sources": ["pypi:a==1#../x"]}}}, "leads out of its archive"),
        ({"files": {"model": FILE, "other": FILE}}, "the file name 'model.gguf' is given twice"),
        ({"id": "../tiny"}, "model ../tiny, id: "),
        ({"id": None}, "model number 1, id: "),
        ({"capabilities": ["flying"]}, "model tiny, capabilities.0: "),
    ],
)
def test_a_wrong_entry_names_the_model_and_the_field(
    tmp_path: Path, change: dict[str, Any], told: str
) -> None:
    with pytest.raises(CatalogueError) as caught:
        load(tmp_path, MODEL | change)
    assert told in str(caught.value)


def test_a_name_is_taken_once_in_any_case(tmp_path: Path) -> None:
    with pytest.raises(CatalogueError, match="model other: the name 'TINY' is taken by model tiny"):
        load(tmp_path, MODEL, MODEL | {"id": "other", "aliases": ["TINY"]})


@pytest.mark.parametrize("text", ["models: [", "models: 3", "[]", "", "models: [3]", "models: []", "\tx"])
def test_what_is_no_catalogue_is_told(tmp_path: Path, text: str) -> None:
    file = tmp_path / "catalogue.yaml"
    file.write_text(text)
    with pytest.raises(CatalogueError):
        load_catalogue(file)


def test_a_missing_catalogue_is_told(tmp_path: Path) -> None:
    with pytest.raises(CatalogueError, match="cannot be read: No such file"):
        load_catalogue(tmp_path / "none.yaml")


def test_an_input_with_a_name_stays_in_the_directory(tmp_path: Path) -> None:
    made = {"name": "made.gguf", "convert": "repacked-gguf", "inputs": {"published": FILE}}
    rest = {key: value for key, value in MODEL.items() if key != "files"}
    (model,) = load(tmp_path, rest | {"derived": {"model": made}})
    (kept,) = model.placed
    assert kept.name == FILE["name"]
    assert model.artifacts == [kept]
    assert [piece.name for piece in model.pieces] == ["model.gguf", "made.gguf"]


def test_a_kept_input_has_a_name_of_its_own(tmp_path: Path) -> None:
    made = {"name": FILE["name"], "convert": "repacked-gguf", "inputs": {"published": FILE}}
    rest = {key: value for key, value in MODEL.items() if key != "files"}
    with pytest.raises(CatalogueError, match=r"the file name 'model\.gguf' is given twice"):
        load(tmp_path, rest | {"derived": {"model": made}})
