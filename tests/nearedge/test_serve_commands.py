import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.models import CACHE


def refused(*arguments: str, home: Path, **settings: object) -> tuple[int, str]:
    """Run ``nearedge`` and return its status and what it complained of."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("NEAREDGE_")}
    given = {"home": home, "cache": CACHE, **settings}
    done = subprocess.run(
        [sys.executable, "-m", "nearedge", *arguments],
        env=environment | {f"NEAREDGE_{name.upper()}": str(value) for name, value in given.items()},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "Traceback" not in done.stderr
    return done.returncode, done.stderr


@pytest.mark.parametrize(
    ("arguments", "setting", "name"),
    [
        (("autorouter", "--port", "0"), "default_region", "NEAREDGE_DEFAULT_REGION"),
        (("edge", "--port", "0"), "edge_region", "NEAREDGE_EDGE_REGION"),
        (("route", "explain", "8.8.8.8"), "default_region", "NEAREDGE_DEFAULT_REGION"),
    ],
)
def test_region_that_is_not_there_stops_the_start_with_the_name_of_the_setting(
    tmp_path: Path, geoip_file: Path, arguments: tuple[str, ...], setting: str, name: str
) -> None:
    code, told = refused(*arguments, home=tmp_path, geoip_file=geoip_file, **{setting: "nowhere-99"})
    assert code == 2
    assert told.startswith(f"error: {name}: 'nowhere-99' is no ")


def test_region_that_is_not_there_is_told_by_the_option_that_names_it(tmp_path: Path) -> None:
    code, told = refused("edge", "--region", "nowhere-99", "--port", "0", home=tmp_path)
    assert (code, told.split(":")[:2]) == (2, ["error", " --region"])
