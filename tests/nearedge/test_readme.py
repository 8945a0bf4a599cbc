import re
from pathlib import Path

import pytest
import typer.main
from typer.core import TyperGroup

import autorouter.app
from autorouter.settings import AutorouterSettings
from edge.api.table import OPERATIONS
from edge.models import load_catalogue
from nearedge.cli import app
from nearedge.settings import Settings
from shared.settings import describe
from tests.models import CACHE

README = (Path(__file__).parents[2] / "README.md").read_text("utf-8")


def section(heading: str) -> str:
    """Return the text below *heading*, up to the next heading of its level or above."""
    level = heading.split()[0]
    _, _, rest = README.partition(f"\n{heading}\n")
    assert rest, f"the README has no section {heading!r}"
    return re.split(rf"\n#{{1,{len(level)}}} ", rest)[0]


def first_cells(text: str) -> list[str]:
    return re.findall(r"^\| `([^`]+)`", text, re.MULTILINE)


def test_sections_come_in_the_order_that_a_newcomer_reads() -> None:
    headings = re.findall(r"^##? (.+)$", README, re.MULTILINE)
    assert headings[:6] == [
        "Nearedge",
        "Two commands",
        "The grid",
        "Commands",
        "The autorouter's endpoints",
        "The edge's endpoints",
    ]


def test_every_setting_is_there_with_its_default_and_meaning() -> None:
    homes = {"NEAREDGE_HOME": "~/.local/share/nearedge", "NEAREDGE_CACHE": "~/.cache/nearedge"}
    expected = []
    for setting in describe(Settings):
        default = homes.get(setting.variable, setting.default)
        shown = f"`{default}`" if default not in {"", "(unset)"} else ""
        expected.append(f"| `{setting.variable}` | {shown} | {setting.description} |")
    rows = re.findall(r"^\| `NEAREDGE_.*$", section("## Settings"), re.MULTILINE)
    assert rows == expected


def test_every_endpoint_of_the_edge_is_there() -> None:
    rows = first_cells(section("## The edge's endpoints").split("### ")[0])
    named = {*rows, *re.findall(r"`(GET /docs/assets/[^`]+)`", README)}
    assert named == {operation.key.replace(":path", "") for operation in OPERATIONS}


def test_every_endpoint_of_the_autorouter_is_there(geoip_file: Path) -> None:
    router = autorouter.app.build_app(AutorouterSettings(cache=CACHE, geoip_file=geoip_file))
    paths = {f"GET {route.path}" for route in router.routes if hasattr(route, "path")}
    assert set(first_cells(section("## The autorouter's endpoints"))) == paths


def test_every_command_is_there() -> None:
    def walk(group: TyperGroup, prefix: str) -> list[str]:
        found = []
        for name, command in group.commands.items():
            path = f"{prefix} {name}"
            found += walk(command, path) if isinstance(command, TyperGroup) else [path]
        return found

    root = typer.main.get_command(app)
    assert isinstance(root, TyperGroup)
    rows = first_cells(section("## Commands"))
    for command in walk(root, "nearedge"):
        assert any(row == command or row.startswith(f"{command} ") for row in rows), command
    assert len(rows) == len(walk(root, "nearedge"))


def test_every_model_of_the_catalogue_is_there() -> None:
    assert first_cells(section("### Models")) == [model.id for model in load_catalogue()]


def test_disk_space_is_what_the_bootstrap_asks_for() -> None:
    script = (Path(__file__).parents[2] / "scripts" / "bootstrap.py").read_text("utf-8")
    needed = re.search(r"^NEEDED_GIB = (\d+)$", script, re.MULTILINE)
    assert needed is not None
    assert f"{needed[1]} GiB of free disk space" in section("## Two commands")


@pytest.mark.parametrize("target", ["run", "test"])
def test_the_two_commands_exist(target: str) -> None:
    makefile = (Path(__file__).parents[2] / "Makefile").read_text("utf-8")
    assert f"make {target} " in section("## Two commands")
    assert re.search(rf"^{target}:", makefile, re.MULTILINE)
