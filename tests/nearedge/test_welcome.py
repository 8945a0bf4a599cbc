import json
import os
import subprocess
from pathlib import Path

import pytest

from nearedge import grid, welcome
from nearedge.grid import Plan
from nearedge.grid_keys import GridKeys
from shared import regions

KEYS = GridKeys("pg_inference-key_0123456789", "pg_operator-key_0123456789")

CURL = """#!/usr/bin/env python3
import json, sys
if sys.argv[1:] == ["-s", "http://127.0.0.1:8080/v1/route"]:
    print(json.dumps({"region": "yto-01", "endpoint": "http://127.0.0.1:8081"}))
else:
    print(json.dumps(sys.argv[1:]))
"""


def plan(logs: Path | None = None) -> Plan:
    known = regions.load(regions.default_path())
    chosen = [region for name in ("yto-01", "nyc-01") if (region := known.get(name)) is not None]
    return grid.plan(chosen, 8080, logs)


def test_json_line_has_the_promised_keys_and_no_other(capsys: pytest.CaptureFixture[str]) -> None:
    welcome.print_json(plan(), KEYS)
    (line,) = capsys.readouterr().out.splitlines()
    assert json.loads(line) == {
        "autorouter": "http://127.0.0.1:8080",
        "edges": [
            {"region": "yto-01", "url": "http://127.0.0.1:8081"},
            {"region": "nyc-01", "url": "http://127.0.0.1:8082"},
        ],
        "inference_key": KEYS.inference,
        "operator_key": KEYS.operator,
    }


@pytest.mark.parametrize("columns", ["30", "80", "200"])
def test_table_shows_everything_whole_on_any_terminal(
    tmp_path: Path, columns: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    welcome.print_table(plan(tmp_path / "logs"), KEYS)
    shown = capsys.readouterr().out
    for text in (
        "http://127.0.0.1:8080",
        "http://127.0.0.1:8081/docs",
        "http://127.0.0.1:8082/docs",
        KEYS.inference,
        KEYS.operator,
        str(tmp_path / "logs"),
        welcome.chat_command(plan(), KEYS),
        welcome.speech_command(plan(), KEYS),
    ):
        assert text in shown


def paste(command: str, folder: Path) -> list[str]:
    """Run *command* as a shell does, with a curl that shows what it was given."""
    subprocess.run(["bash", "-n", "-c", command], check=True, timeout=10)
    curl = folder / "curl"
    curl.write_text(CURL)
    curl.chmod(0o755)
    done = subprocess.run(
        ["bash", "-c", command],
        env=os.environ | {"PATH": f"{folder}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    assert done.stderr == ""
    given: list[str] = json.loads(done.stdout)
    return given


def option(given: list[str], name: str) -> list[str]:
    return [given[at + 1] for at, word in enumerate(given) if word == name]


def test_chat_command_asks_the_autorouter_and_then_its_edge(tmp_path: Path) -> None:
    given = paste(welcome.chat_command(plan(), KEYS), tmp_path)
    assert given[:2] == ["-s", "http://127.0.0.1:8081/v1/chat/completions"]
    assert option(given, "-H") == [
        f"Authorization: Bearer {KEYS.inference}",
        "Content-Type: application/json",
    ]
    (body,) = (json.loads(text) for text in option(given, "-d"))
    assert body["messages"][0]["role"] == "user"
    assert body["model"]


def test_speech_command_asks_an_edge_for_a_file(tmp_path: Path) -> None:
    given = paste(welcome.speech_command(plan(), KEYS), tmp_path)
    assert given[:2] == ["-s", "http://127.0.0.1:8081/v1/audio/speech"]
    assert option(given, "-o") == ["hello.wav"]
    (body,) = (json.loads(text) for text in option(given, "-d"))
    assert body.keys() == {"model", "voice", "input", "response_format"}
    assert body["response_format"] == "wav"
