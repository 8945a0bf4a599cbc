import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.core import TyperCommand, TyperGroup, TyperOption
from typer.main import get_command
from typer.testing import CliRunner

from nearedge import cli
from nearedge.cli import app, missing_extra

LOADED = """
import json, pathlib, sys
from nearedge.cli import main
report = pathlib.Path(sys.argv.pop(1))
try:
    main()
finally:
    report.write_text(json.dumps(sorted(sys.modules)))
"""

EDGE_ONLY = {"aiosqlite", "av", "cachetools", "ctranslate2", "faster_whisper", "gguf", "hibari", "jinja2"}
EDGE_ONLY |= {"llama_cpp", "numpy", "onnxruntime", "safetensors", "sqlalchemy", "swagger_ui"}


@pytest.mark.parametrize(
    "arguments", ["autorouter --help", "edge --help", "up --help", "regions list --json", "settings"]
)
def test_command_that_needs_no_edge_loads_none(tmp_path: Path, arguments: str) -> None:
    report = tmp_path / "modules.json"
    done = subprocess.run(
        [sys.executable, "-c", LOADED, str(report), *arguments.split()],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout
    modules = set(json.loads(report.read_text()))
    assert EDGE_ONLY.isdisjoint({name.partition(".")[0] for name in modules})
    assert {name for name in modules if name.startswith("edge.")} == {"edge.settings"}
    assert {name for name in modules if name.startswith("autorouter.")} <= {
        "autorouter.cdns",
        "autorouter.networks",
        "autorouter.settings",
    }


def commands(group: TyperGroup, *path: str) -> Iterator[tuple[str, TyperCommand]]:
    for name, command in group.commands.items():
        if isinstance(command, TyperGroup):
            yield from commands(command, *path, name)
        else:
            assert isinstance(command, TyperCommand)
            yield " ".join((*path, name)), command


def every_command() -> dict[str, TyperCommand]:
    root = get_command(app)
    assert isinstance(root, TyperGroup)
    return dict(commands(root))


def test_the_commands_are_those_that_were_promised() -> None:
    assert every_command().keys() == {
        *("up", "autorouter", "edge", "settings", "route explain", "regions list", "regions ping"),
        *("models list", "models pull", "models verify", "geoip update", "geoip lookup"),
        *("keys create", "keys list", "keys revoke", "keys rotate"),
        *("tenants create", "tenants list", "tenants update"),
        *("credits grant", "credits show", "demo voice"),
    }


def test_every_command_and_option_says_what_it_is_for() -> None:
    for name, command in every_command().items():
        assert command.help, name
        for parameter in command.params:
            if isinstance(parameter, TyperOption) and not parameter.hidden:
                assert parameter.help, (name, parameter.name)


@pytest.mark.parametrize("arguments", [[], ["keys"], ["models"], ["regions"], ["geoip"]])
def test_command_without_its_word_shows_help(arguments: list[str]) -> None:
    assert "Usage:" in CliRunner().invoke(app, arguments).output


@pytest.mark.parametrize(
    "arguments", [["nonsense"], ["--nonsense"], ["up", "--nonsense"], ["edge", "--port", "x"]]
)
def test_what_it_does_not_know_is_status_2(arguments: list[str]) -> None:
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 2
    assert "Traceback" not in result.output


@pytest.mark.parametrize(
    ("module", "extra"),
    [
        ("geoip2", "autorouter"),
        ("geoip2.database", "autorouter"),
        ("maxminddb", "autorouter"),
        ("llama_cpp", "edge"),
        ("sqlalchemy.ext.asyncio", "edge"),
        ("edge.no_such_module", None),
        ("asyncio.no_such_module", None),
        ("", None),
        (None, None),
    ],
)
def test_extra_that_brings_a_missing_module(module: str | None, extra: str | None) -> None:
    assert missing_extra(module) == extra


def test_missing_package_is_told_with_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def absent() -> None:
        raise ModuleNotFoundError("No module named 'geoip2'", name="geoip2")

    monkeypatch.setattr(cli, "app", absent)
    with pytest.raises(SystemExit) as raised:
        cli.main()
    assert raised.value.code == 1
    assert "pip install '.[autorouter]'" in capsys.readouterr().err
