"""A spoken question is answered in a voice, as somebody who tries the grid out asks it."""

import json
from pathlib import Path

import pytest

from tests.e2e.audio import SENTENCE, decode, word_error_rate, words
from tests.e2e.grids import Grid
from tests.e2e.services import run


@pytest.fixture
def question(recording: bytes, tmp_path: Path) -> Path:
    file = tmp_path / "question.wav"
    file.write_bytes(recording)
    return file


def test_a_spoken_question_is_answered_in_a_voice(grid: Grid, question: Path, tmp_path: Path) -> None:
    out = tmp_path / "said.wav"
    done = run("demo", "voice", question, "--home", grid.home, "--out", out, "--max-tokens", 40, "--json")

    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert word_error_rate(SENTENCE, told["question"]) <= 0.1
    assert words(told["answer"])
    stages = [told["stages"][name] for name in ("transcribe", "chat", "speak")]
    for stage in stages:
        assert stage["began_ms"] <= stage["first_ms"] <= stage["ended_ms"]
    assert stages[0]["ended_ms"] <= stages[1]["began_ms"] <= stages[2]["began_ms"]
    assert told["first_sound_ms"] == stages[2]["first_ms"]
    sound = decode(out.read_bytes())
    assert (sound.codec, sound.rate) == ("pcm_s16le", 24_000)
    assert sound.seconds == pytest.approx(told["seconds"], abs=0.02)
    assert sound.loudness > 0.01
    # The key that was made for it is gone.
    keys = json.loads(run("keys", "list", "--home", grid.home, "--json").stdout)
    assert [key for key in keys if key["name"] == "demo" and key["revoked_at"] is None] == []


def test_people_read_both_sides_and_every_stage(
    grid: Grid, edge_url: str, question: Path, tmp_path: Path
) -> None:
    out = tmp_path / "said.wav"
    options = ("--url", edge_url, "--key", grid.inference_key, "--max-tokens", 8, "--out", out)
    done = run("demo", "voice", question, *options)

    assert done.returncode == 0, done.stderr
    assert "question: The quick brown fox" in done.stdout
    assert "answer: " in done.stdout
    for stage in ("transcribe", "chat", "speak", "First sound after"):
        assert stage in done.stdout
    assert grid.inference_key not in done.stdout + done.stderr


def test_a_key_that_does_not_fit_is_told(edge_url: str, question: Path, tmp_path: Path) -> None:
    out = tmp_path / "said.wav"
    done = run("demo", "voice", question, "--url", edge_url, "--key", "pg_wrong", "--out", out)

    assert done.returncode == 1
    assert "Invalid API key" in done.stderr
    assert "Traceback" not in done.stderr
    assert not out.exists()
