import io
import json
import wave
from pathlib import Path

import pytest
from typer.testing import CliRunner

from nearedge.cli import app
from nearedge.commands import demo
from nearedge.playback import Playback
from nearedge.voice_loop import Order, Stage, Turn, VoiceLoop


@pytest.fixture
def runner(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> CliRunner:
    for variable in (demo.URL_VARIABLE, demo.KEY_VARIABLE):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NEAREDGE_HOME", str(tmp_path))
    (tmp_path / "question.wav").write_bytes(b"RIFF")
    return CliRunner()


@pytest.mark.parametrize(
    ("arguments", "environment", "status", "told"),
    [
        (["absent.wav"], {}, 2, "absent.wav cannot be read"),
        (["question.wav", "--out", "absent/said.wav"], {}, 2, "--out: there is no directory absent"),
        (["question.wav", "--url", "http://127.0.0.1:1"], {}, 2, "--key"),
        (["question.wav"], {}, 1, "start one with `nearedge up`"),
        (["question.wav", "--key", "pg_x"], {}, 1, "start one with `nearedge up`"),
        (["question.wav", "--url", "http://127.0.0.1:1", "--key", "pg_x"], {}, 1, "no edge answers at"),
        (
            ["question.wav"],
            {"POLARGRID_BASE_URL": "http://127.0.0.1:1", "POLARGRID_API_KEY": "pg_x"},
            1,
            "no edge answers at http://127.0.0.1:1",
        ),
    ],
)
def test_what_is_missing_is_told(
    runner: CliRunner, arguments: list[str], environment: dict[str, str], status: int, told: str
) -> None:
    done = runner.invoke(app, ["demo", "voice", *arguments], env=environment)
    assert done.exit_code == status
    assert told in " ".join(done.stderr.split())
    assert "pg_x" not in done.output


def test_a_recording_that_no_edge_takes_is_not_sent(runner: CliRunner) -> None:
    with Path("question.wav").open("wb") as file:
        file.truncate(demo.MAX_RECORDING_MIB * 1024 * 1024 + 1)
    done = runner.invoke(app, ["demo", "voice", "question.wav"])
    assert "larger than 48 MiB" in done.stderr


def test_sound_becomes_a_file_that_players_know() -> None:
    with wave.open(io.BytesIO(demo.as_wav(b"\x01\x02" * 240))) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (1, 2, 24_000)
        assert file.readframes(1000) == b"\x01\x02" * 240


def test_the_report_is_in_milliseconds() -> None:
    played = Playback()
    played.take(bytes(48_000), 1.2345)
    played.take(bytes(48_000), 2.5)
    turn = Turn(
        question=" Who?",
        answer="You. ",
        hearing=Stage(0.0, 0.1, 0.5),
        thinking=Stage(0.5, 0.6, 0.9),
        speaking=Stage(0.7, 1.2345, 2.5),
        playback=played,
    )
    assert demo.report(turn, Path("said.wav")) == {
        "question": "Who?",
        "answer": "You.",
        "not_spoken": [],
        "file": "said.wav",
        "seconds": 2.0,
        "stages": {
            "transcribe": {"began_ms": 0, "first_ms": 100, "ended_ms": 500},
            "chat": {"began_ms": 500, "first_ms": 600, "ended_ms": 900},
            "speak": {"began_ms": 700, "first_ms": 1234, "ended_ms": 2500},
        },
        "first_sound_ms": 1234,
        "stalled_ms": 266,
    }


def test_what_was_left_out_of_the_sound_is_told(
    runner: CliRunner, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async def run(_loop: VoiceLoop, _order: Order) -> Turn:
        return Turn(question="Who?", answer="You. [b]雪[/b]", unspoken=["[b]雪[/b]"], sound=bytearray(4))

    monkeypatch.setattr(VoiceLoop, "run", run)
    arguments = ["demo", "voice", "question.wav", "--url", "http://127.0.0.1:1", "--key", "pg_x"]
    done = runner.invoke(app, arguments)
    assert done.exit_code == 0, done.output
    assert "cannot be spoken: [b]雪[/b]" in " ".join(done.stderr.split())
    done = runner.invoke(app, [*arguments, "--json"])
    assert json.loads(done.stdout)["not_spoken"] == ["[b]雪[/b]"]
