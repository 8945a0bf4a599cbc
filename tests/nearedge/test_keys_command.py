import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from edge.api.token_types import Token
from nearedge.cli import app

SHOWN = set(Token.__annotations__)


def run(home: Path, *arguments: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, ["keys", *arguments], env={"NEAREDGE_HOME": str(home)})
    return result.exit_code, result.stdout, result.stderr


def listed(home: Path) -> list[dict[str, Any]]:
    code, out, _ = run(home, "list", "--json")
    assert code == 0
    rows: list[dict[str, Any]] = json.loads(out)
    return rows


def test_a_key_lives_from_create_to_revoke_in_processes_of_their_own(tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("NEAREDGE_")}

    def nearedge(*arguments: str) -> str:
        return subprocess.run(
            [sys.executable, "-m", "nearedge", "keys", *arguments],
            env=environment | {"NEAREDGE_HOME": str(tmp_path)},
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        ).stdout

    scopes = ("--scope", "superadmin", "--scope", "inference")
    made = json.loads(nearedge("create", "--name", "ci", *scopes, "--json"))
    assert made.keys() == {*SHOWN, "key"}
    assert (made["name"], made["scopes"]) == ("ci", ["inference", "superadmin"])
    nearedge("revoke", made["id"])
    (row,) = json.loads(nearedge("list", "--json"))
    assert row.keys() == SHOWN
    assert row["id"] == made["id"]
    assert row["revoked_at"] >= row["created_at"] > "2026"
    for file in tmp_path.iterdir():
        assert made["key"].encode() not in file.read_bytes()


def test_a_key_is_made_for_inference_where_nothing_else_is_said(tmp_path: Path) -> None:
    code, out, err = run(tmp_path, "create")
    assert (code, err) == (0, "")
    shown = dict(line.split(maxsplit=1) for line in out.splitlines())
    assert shown["scopes"] == "inference"
    assert shown["key"].startswith("pg_")
    (row,) = listed(tmp_path)
    assert row == row | {"id": shown["id"], "name": "default", "scopes": ["inference"]}


def test_the_key_itself_is_never_listed(tmp_path: Path) -> None:
    raw = json.loads(run(tmp_path, "create", "--json")[1])["key"]
    for arguments in (["list"], ["list", "--json"]):
        assert raw[3:] not in run(tmp_path, *arguments)[1]


def test_table_shows_what_is_to_be_copied_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    name = "a rather long name [bold]in brackets[/]"
    made = json.loads(run(tmp_path, "create", "--name", name, "--json")[1])
    run(tmp_path, "revoke", made["id"])
    code, out, _ = run(tmp_path, "list")
    (row,) = [line for line in out.splitlines() if made["id"] in line]
    assert code == 0
    assert name in row
    assert row.count(listed(tmp_path)[0]["created_at"][:10]) == 2  # created and revoked


def test_no_keys_is_no_error(tmp_path: Path) -> None:
    assert listed(tmp_path / "new") == []


@pytest.mark.parametrize("scope", ["admin", "", "Inference", "inference superadmin"])
def test_unknown_scope_is_refused_and_nothing_made(tmp_path: Path, scope: str) -> None:
    code, out, err = run(tmp_path, "create", "--scope", scope)
    assert (code, out) == (2, "")
    assert repr(scope) in err
    assert "inference, read, keys, superadmin" in err
    assert listed(tmp_path) == []


def test_what_cannot_be_revoked_is_named(tmp_path: Path) -> None:
    made = json.loads(run(tmp_path, "create", "--json")[1])
    assert run(tmp_path, "revoke", made["id"])[0] == 0
    for unknown in (made["id"], "key_0", made["key"][:10]):
        code, out, err = run(tmp_path, "revoke", unknown)
        assert (code, out) == (1, "")
        assert f"no active key {unknown}" in err


def test_option_outweighs_the_variable(tmp_path: Path) -> None:
    other = tmp_path / "other"
    run(tmp_path / "named", "create", "--home", str(other))
    assert len(listed(other)) == 1
    assert not (tmp_path / "named").exists()


def test_database_that_is_none_is_told_by_name(tmp_path: Path) -> None:
    file = tmp_path / "nearedge.db"
    file.write_bytes(b"garbage" * 1000)
    for arguments in (["create"], ["list"], ["list", "--json"], ["revoke", "key_1"]):
        code, out, err = run(tmp_path, *arguments)
        assert (code, out) == (1, "")
        assert f"{file}: file is not a database" in err.replace("\n", "")


def test_unknown_setting_stops_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEAREDGE_FOO", "1")
    code, _, err = run(tmp_path, "list")
    assert code == 2
    assert "NEAREDGE_FOO" in err
