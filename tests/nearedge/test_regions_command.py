import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from nearedge.cli import app
from shared import regions


def run(*arguments: str, **settings: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, arguments, env={f"NEAREDGE_{k.upper()}": v for k, v in settings.items()})
    return result.exit_code, result.stdout, result.stderr


def test_table_shows_every_region_whole() -> None:
    code, out, err = run("regions", "list")
    assert (code, err) == (0, "")
    for region in regions.load(regions.default_path()):
        (row,) = [line for line in out.splitlines() if line.strip().startswith(region.id)]
        for shown in (region.name, region.location, region.country, region.url, *region.aliases):
            assert shown in row


def test_json_is_one_array_with_every_field() -> None:
    code, out, err = run("regions", "list", "--json")
    assert (code, err) == (0, "")
    rows = json.loads(out)
    assert [row["id"] for row in rows] == [region.id for region in regions.load(regions.default_path())]
    assert rows[0] == {
        "id": "yto-01",
        "name": "Toronto",
        "location": "Canada Central",
        "country": "CA",
        "lat": 43.65,
        "lon": -79.38,
        "url": "https://api.yto-01.edge.polargrid.ai",
        "aliases": ["toronto", "yto"],
        "discoverable": True,
    }


def test_region_that_is_not_discoverable_is_marked(tmp_path: Path) -> None:
    file = tmp_path / "grid.yaml"
    text = regions.default_path().read_text()
    file.write_text(text.replace("discoverable: true", "discoverable: false", 1))
    _, out, _ = run("regions", "list", regions_file=str(file))
    assert [line.split()[0] for line in out.splitlines() if "(not discoverable)" in line] == ["yto-01"]


@pytest.mark.parametrize("flags", [[], ["--json"]])
def test_bad_file_ends_with_its_line_and_nothing_on_stdout(tmp_path: Path, flags: list[str]) -> None:
    file = tmp_path / "grid.yaml"
    file.write_text("regions:\n  - id: [a]\n")
    code, out, err = run("regions", "list", *flags, regions_file=str(file))
    assert (code, out) == (1, "")
    assert "line 2: regions[0].id: " in err
