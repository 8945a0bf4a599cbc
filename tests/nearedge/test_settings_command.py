import json

import pytest
from typer.testing import CliRunner

from nearedge.cli import app
from nearedge.settings import Settings


def run(*arguments: str, **environ: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, arguments, env=environ)
    return result.exit_code, result.stdout, result.stderr


def test_every_setting_is_listed_with_its_default_and_meaning() -> None:
    code, out, err = run("settings", COLUMNS="40")
    assert (code, err) == (0, "")
    lines = out.splitlines()
    for name, field in Settings.model_fields.items():
        (at,) = [number for number, line in enumerate(lines) if line.startswith(f"NEAREDGE_{name.upper()}=")]
        assert lines[at + 1].strip() == field.description
    assert "NEAREDGE_EDGE_PORT=8081" in lines
    assert "NEAREDGE_TLS_CERT=(unset)" in lines
    assert "NEAREDGE_CONFIG" in out


def test_json_is_one_array() -> None:
    code, out, _ = run("settings", "--json")
    assert code == 0
    rows = json.loads(out)
    assert [row["name"] for row in rows] == list(Settings.model_fields)
    assert {frozenset(row) for row in rows} == {frozenset({"name", "variable", "default", "description"})}


def test_it_lists_the_known_ones_where_an_unknown_one_is_set() -> None:
    assert run("settings", NEAREDGE_FOO="1")[0] == 0


@pytest.mark.parametrize(
    "command",
    [
        ["edge"],
        ["autorouter"],
        ["up"],
        ["regions", "list"],
        ["geoip", "lookup", "8.8.8.8"],
        ["models", "list"],
        ["keys", "list"],
    ],
)
@pytest.mark.parametrize(
    ("variable", "value", "told"),
    [
        ("NEAREDGE_FOO", "hunter2", "unknown setting NEAREDGE_FOO"),
        ("NEAREDGE_EDGE_PORT", "http", "NEAREDGE_EDGE_PORT: "),
        ("NEAREDGE_CONFIG", "/nowhere/settings.toml", "/nowhere/settings.toml"),
    ],
)
def test_unknown_or_invalid_setting_stops_every_command_with_its_name(
    command: list[str], variable: str, value: str, told: str
) -> None:
    code, out, err = run(*command, **{variable: value})
    assert (code, out) == (2, "")
    assert told in err.replace("\n", "")
    assert "hunter2" not in err
