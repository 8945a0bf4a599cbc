from pathlib import Path

import pytest

from autorouter.grid import Grid, load_grid
from autorouter.settings import AutorouterSettings
from shared import regions
from shared.regions import RegionsError
from shared.settings import SettingsError

HIDDEN = """
regions:
  - {id: a-01, name: A, location: L, country: CA, lat: 0, lon: 0, url: "http://a.test", discoverable: false}
"""
SHOWN = (
    '  - {id: b-01, name: B, location: L, country: CA, lat: 0, lon: 0, url: "http://b.test", aliases: [b]}\n'
)


def test_shipped_grid_holds_every_region_and_yto_01_as_default() -> None:
    grid = load_grid(AutorouterSettings())
    assert [region for region, _ in grid.candidates] == list(regions.load(regions.default_path()))
    assert grid.default.id == "yto-01"


def test_default_region_may_be_an_alias() -> None:
    assert load_grid(AutorouterSettings(default_region="Montreal")).default.id == "yul-01"


@pytest.mark.parametrize("default", [None, "b-01", "B"])
def test_unset_default_region_is_the_first_that_is_discoverable(tmp_path: Path, default: str | None) -> None:
    file = tmp_path / "regions.yaml"
    file.write_text(HIDDEN + SHOWN)
    grid = load_grid(AutorouterSettings(regions_file=file, default_region=default))
    assert [region.id for region, _ in grid.candidates] == ["b-01"]
    assert grid.default.id == "b-01"


@pytest.mark.parametrize("default", ["nowhere-99", "a-01", ""])
def test_default_region_that_cannot_be_chosen_is_refused_by_its_name(tmp_path: Path, default: str) -> None:
    file = tmp_path / "regions.yaml"
    file.write_text(HIDDEN + SHOWN)
    with pytest.raises(
        SettingsError, match=f"^NEAREDGE_DEFAULT_REGION: '{default}' is no discoverable region"
    ):
        load_grid(AutorouterSettings(regions_file=file, default_region=default))


def test_grid_without_a_discoverable_region_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "regions.yaml"
    file.write_text(HIDDEN)
    with pytest.raises(RegionsError, match=r"regions\.yaml: no region is discoverable"):
        load_grid(AutorouterSettings(regions_file=file))
    with pytest.raises(ValueError, match="discoverable"):
        Grid.of([], "yto-01")
