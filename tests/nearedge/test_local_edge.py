from pathlib import Path

import pytest

from nearedge import local_edge
from nearedge.grid import plan, write_regions
from nearedge.local_edge import LocalEdgeError
from shared import regions


def test_the_first_edge_of_the_grid_is_found(tmp_path: Path) -> None:
    known = regions.load(regions.default_path())
    chosen = [region for region in map(known.get, ("nyc-01", "yto-01")) if region is not None]
    write_regions(tmp_path / "grid" / "regions.yaml", plan(chosen, 9000, None))
    assert local_edge.url(tmp_path) == "http://127.0.0.1:9001"


def test_without_a_grid_it_says_what_to_start(tmp_path: Path) -> None:
    with pytest.raises(LocalEdgeError, match="nearedge up"):
        local_edge.url(tmp_path)


def test_a_key_ends_with_its_use(tmp_path: Path) -> None:
    with local_edge.key_for_a_while(tmp_path) as key:
        assert key.startswith("pg_")
        listed = local_edge._keys("list", "--home", str(tmp_path), "--json")
        assert '"revoked_at":null' in listed.replace(" ", "")
    listed = local_edge._keys("list", "--home", str(tmp_path), "--json")
    assert '"revoked_at":null' not in listed.replace(" ", "")
    assert key not in listed


def test_a_home_that_cannot_be_used_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(LocalEdgeError, match="database"), local_edge.key_for_a_while(tmp_path / "file"):
        pytest.fail("there is no key")
