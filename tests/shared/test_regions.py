import dataclasses
import math
import sysconfig
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from polargrid.client import POLARGRID_REGIONS, REGION_ALIASES

from shared import regions
from shared.regions import Region, RegionsError

GOOD = """\
regions:
  - id: yto-01
    name: Toronto
    location: Canada Central
    country: CA
    lat: 43.65
    lon: -79.38
    url: https://api.yto-01.test
    aliases: [toronto, yto]
    discoverable: true
  - id: osl-01
    name: Oslo
    location: Norway
    country: NO
    lat: 60
    lon: 11
    url: http://127.0.0.1:8081
"""
"""Lines count from 1: the first region's id is on line 2, its url on 8, the second's country on 14."""

Write = Callable[[str], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def written(text: str) -> Path:
        file = tmp_path / "grid.yaml"
        file.write_text(text, "utf-8")
        return file

    return written


@pytest.fixture
def shipped() -> regions.Regions:
    return regions.load(regions.default_path())


def test_file_is_read_in_its_order(write: Write) -> None:
    grid = regions.load(write(GOOD))
    assert list(grid) == [
        Region(
            id="yto-01",
            name="Toronto",
            location="Canada Central",
            country="CA",
            lat=43.65,
            lon=-79.38,
            url="https://api.yto-01.test",
            aliases=("toronto", "yto"),
            discoverable=True,
        ),
        Region("osl-01", "Oslo", "Norway", "NO", 60.0, 11.0, "http://127.0.0.1:8081", (), True),
    ]
    assert len(grid) == 2


@pytest.mark.parametrize("name", ["yto-01", "YTO-01", "toronto", "Toronto", "YTO"])
def test_region_is_found_by_id_and_alias_in_any_case(write: Write, name: str) -> None:
    found = regions.load(write(GOOD)).get(name)
    assert found is not None
    assert found.id == "yto-01"


@pytest.mark.parametrize("name", ["", "yto-0", "yto-011", " yto-01", "yto-01 ", "Oslo", "tor"])
def test_nothing_else_finds_a_region(write: Write, name: str) -> None:
    assert regions.load(write(GOOD)).get(name) is None


def test_result_is_frozen(write: Write) -> None:
    grid = regions.load(write(GOOD))
    with pytest.raises(dataclasses.FrozenInstanceError):
        grid.all[0].url = "http://evil.test"  # type: ignore[misc]
    with pytest.raises(dataclasses.FrozenInstanceError):
        grid.all = ()  # type: ignore[misc]


@pytest.mark.parametrize(
    ("old", "new", "line", "field"),
    [
        # wrong type
        ("id: yto-01", "id: 1", 2, "regions[0].id"),
        ("name: Toronto", "name: [Toronto]", 3, "regions[0].name"),
        ("name: Toronto", "name:", 3, "regions[0].name"),
        ("location: Canada Central", "location: {a: b}", 4, "regions[0].location"),
        ("country: NO", "country: 47", 14, "regions[1].country"),
        ("lat: 43.65", 'lat: "43.65"', 6, "regions[0].lat"),
        ("lat: 43.65", "lat: true", 6, "regions[0].lat"),
        ("lon: -79.38", "lon: west", 7, "regions[0].lon"),
        ("aliases: [toronto, yto]", "aliases: toronto", 9, "regions[0].aliases"),
        ("aliases: [toronto, yto]", "aliases: [toronto, 7]", 9, "regions[0].aliases[1]"),
        ("aliases: [toronto, yto]", "aliases:\n    - toronto\n    - 7", 11, "regions[0].aliases[1]"),
        ("discoverable: true", "discoverable: 1", 10, "regions[0].discoverable"),
        ("discoverable: true", "discoverable: yes", 10, "regions[0].discoverable"),
        # missing and unknown fields
        ("    name: Oslo\n", "", 11, "regions[1].name"),
        ("    url: http://127.0.0.1:8081\n", "", 11, "regions[1].url"),
        ("    lat: 60\n", "    lat: 60\n    latt: 60\n", 16, "regions[1].latt"),
        ("regions:", "# a comment\nversion: 2\nregions:", 2, "version"),
        # ranges
        ("lat: 60", "lat: 90.5", 15, "regions[1].lat"),
        ("lat: 60", "lat: -91", 15, "regions[1].lat"),
        ("lat: 60", "lat: .nan", 15, "regions[1].lat"),
        ("lon: 11", "lon: 180.01", 16, "regions[1].lon"),
        ("lon: 11", "lon: -.inf", 16, "regions[1].lon"),
        # country codes
        ("country: NO", "country: no", 14, "regions[1].country"),
        ("country: NO", "country: NOR", 14, "regions[1].country"),
        ("country: NO", "country: UK", 14, "regions[1].country"),
        ("country: NO", "country: ZZ", 14, "regions[1].country"),
        # names
        ("id: osl-01", "id: osl 01", 11, "regions[1].id"),
        ("id: osl-01", 'id: ""', 11, "regions[1].id"),
        ("id: osl-01", "id: osl/01", 11, "regions[1].id"),
        ("id: osl-01", "id: " + "x" * 64, 11, "regions[1].id"),
        ("name: Oslo", 'name: "  "', 12, "regions[1].name"),
        ("name: Oslo", r'name: "a\nb"', 12, "regions[1].name"),
        # the same field twice
        ("lat: 60", "lat: 60\n    lat: 61", 16, "regions[1].lat"),
    ],
)
def test_bad_entry_is_refused_by_file_line_and_field(
    write: Write, old: str, new: str, line: int, field: str
) -> None:
    assert old in GOOD
    with pytest.raises(RegionsError) as caught:
        regions.load(write(GOOD.replace(old, new)))
    assert f"grid.yaml: line {line}: {field}: " in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    "url",
    [
        "api.yto-01.test",
        "ftp://api.yto-01.test",
        "https://",
        "https:///path",
        "https://api.yto-01.test/",
        "https://api.yto-01.test/edge/",
        "https://api.yto-01.test/v1",
        "https://api.yto-01.test/edge/V1",
        "https://api.yto-01.test/v1/",
        "https://user:secret@api.yto-01.test",
        "https://api.yto-01.test?x=1",
        "https://api.yto-01.test#x",
        "https://api.yto 01.test",
        "https://api.yto-01.test:0",
        "https://api.yto-01.test:99999",
        "https://[::1",
        "https://tørønto.test",
        '"https://a.test\\nb"',
    ],
)
def test_bad_url_is_refused(write: Write, url: str) -> None:
    quoted = url if url.startswith('"') else f'"{url}"'
    with pytest.raises(RegionsError, match=r"grid\.yaml: line 8: regions\[0\]\.url: must "):
        regions.load(write(GOOD.replace("https://api.yto-01.test", quoted)))


@pytest.mark.parametrize("url", ["https://a.test", "http://[::1]:8081", "https://a.test/edges/yto-01"])
def test_good_url_is_kept_as_it_stands(write: Write, url: str) -> None:
    assert regions.load(write(GOOD.replace("https://api.yto-01.test", url))).all[0].url == url


@pytest.mark.parametrize(
    ("old", "new", "line", "field"),
    [
        ("id: osl-01", "id: yto-01", 11, "regions[1].id"),
        ("id: osl-01", "id: YTO-01", 11, "regions[1].id"),
        ("id: osl-01", "id: Toronto", 9, "regions[0].aliases[0]"),
        ("lon: 11", "lon: 11\n    aliases: [osl, TORONTO]", 17, "regions[1].aliases[1]"),
        ("lon: 11", "lon: 11\n    aliases:\n      - osl\n      - yto-01", 19, "regions[1].aliases[1]"),
        ("lon: 11", "lon: 11\n    aliases: [osl-01]", 17, "regions[1].aliases[0]"),
        ("[toronto, yto]", "[toronto, yto, Yto]", 9, "regions[0].aliases[2]"),
    ],
)
def test_name_given_twice_is_refused(write: Write, old: str, new: str, line: int, field: str) -> None:
    with pytest.raises(RegionsError) as caught:
        regions.load(write(GOOD.replace(old, new)))
    assert f"grid.yaml: line {line}: {field}: " in str(caught.value)
    assert "duplicate" in str(caught.value)


OVERRIDES = """\
  - id: lab-01
    name: Lab
    location: Norway
    country: NO
    lat: 60
    lon: 11
    url: http://127.0.0.1:8082
    discoverable: false
overrides:
  NO: [osl-01, Toronto]
  CA-ON:
    - osl-01
"""
"""Behind GOOD: the rule of Norway is on line 27, that of Ontario on 28, its region on 29."""


def test_overrides_are_read_in_their_order(write: Write) -> None:
    grid = regions.load(write(GOOD + OVERRIDES))
    assert {key: [region.id for region in rule] for key, rule in grid.overrides.items()} == {
        "NO": ["osl-01", "yto-01"],
        "CA-ON": ["osl-01"],
    }
    assert grid.overrides["NO"][1] is grid.all[0]


def test_overrides_may_be_missing(write: Write) -> None:
    assert regions.load(write(GOOD)).overrides == {}
    assert regions.load(write(GOOD + "overrides: {}\n")).overrides == {}


@pytest.mark.parametrize(
    ("old", "new", "line", "field"),
    [
        ("NO: [", "UK: [", 27, "overrides.UK"),
        ("NO: [", "no: [", 27, "overrides.no"),
        ("NO: [", "NOR: [", 27, "overrides.NOR"),
        ("NO: [", '"": [', 27, "overrides."),
        ("CA-ON:", "CA-on:", 28, "overrides.CA-on"),
        ("CA-ON:", "CA-:", 28, "overrides.CA-"),
        ("CA-ON:", "CA-ONTA:", 28, "overrides.CA-ONTA"),
        ("CA-ON:", "ZZ-ON:", 28, "overrides.ZZ-ON"),
        ("CA-ON:", "NO:", 28, "overrides.NO"),
        ("CA-ON:\n    - osl-01", "CA-ON: []", 28, "overrides.CA-ON"),
        ("CA-ON:\n    - osl-01", "CA-ON: osl-01", 28, "overrides.CA-ON"),
        ("CA-ON:\n    - osl-01", "CA-ON:", 28, "overrides.CA-ON"),
        ("    - osl-01", "    - nowhere-99", 29, "overrides.CA-ON[0]"),
        ("    - osl-01", "    - lab-01", 29, "overrides.CA-ON[0]"),
        ("    - osl-01", "    - 7", 29, "overrides.CA-ON[0]"),
        ("    - osl-01", "    - yto\n    - YTO-01", 30, "overrides.CA-ON[1]"),
        ("NO: [osl-01, Toronto]\n  CA-ON:\n    -", "-", 26, "overrides"),
        ("NO: [osl-01, Toronto]\n  CA-ON:\n    - osl-01\n", "\n", 26, "overrides"),
    ],
)
def test_bad_override_is_refused_by_file_line_and_field(
    write: Write, old: str, new: str, line: int, field: str
) -> None:
    assert old in OVERRIDES
    with pytest.raises(RegionsError) as caught:
        regions.load(write(GOOD + OVERRIDES.replace(old, new)))
    assert f"grid.yaml: line {line}: {field}: " in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_example_of_the_shipped_file_is_one_that_works(write: Write) -> None:
    """The comment that documents overrides, taken out of its comment."""
    text = regions.default_path().read_text("utf-8")
    example = text.partition("# overrides:\n")[2].partition("#\n")[0]
    lines = ["overrides:", *(line.removeprefix("#") for line in example.splitlines())]
    grid = regions.load(write(text + "\n".join(lines)))
    assert len(grid.overrides) == len(lines) - 1 > 0


@pytest.mark.parametrize(
    "text",
    [
        "",
        "# nothing\n",
        "region: []",
        "regions:",
        "regions: []",
        "regions: {}",
        "regions: [yto-01]",
        "regions: [null]",
        "[]",
        "yto-01",
        "regions: [",
        "regions:\n\t- id: x",
        "a: b\n---\nregions: []",
        "regions: &a [*a]",
        "regions: !!python/object:os.system [x]",
        "regions: \x00",
        "[" * 5000,
    ],
)
def test_what_is_no_list_of_regions_is_refused(write: Write, text: str) -> None:
    with pytest.raises(RegionsError, match=r"grid\.yaml: line \d+: "):
        regions.load(write(text))


def test_every_problem_is_told_at_once(write: Write) -> None:
    with pytest.raises(RegionsError) as caught:
        regions.load(write(GOOD.replace("lat: 60", "lat: 600").replace("CA", "XY").replace("lon: 11", "")))
    lines = str(caught.value).splitlines()
    assert [line.split(": ")[1] for line in lines] == ["line 5", "line 15", "line 11"]


def test_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RegionsError, match=r"none\.yaml: cannot be read: No such file"):
        regions.load(tmp_path / "none.yaml")


def test_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "grid.yaml"
    file.write_bytes(b"regions: \xff\xfe")
    with pytest.raises(RegionsError, match=r"grid\.yaml: is not UTF-8"):
        regions.load(file)


@given(st.text(max_size=200) | st.text("regions:-[]{}&*!\n\t #'\"idlat0123", max_size=200))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_text_gets_past_with_another_error(write: Write, text: str) -> None:
    with pytest.raises(RegionsError):
        regions.load(write(text))


def test_shipped_regions_are_those_of_the_contract(shipped: regions.Regions) -> None:
    assert {region.id for region in shipped} == {
        *("yto-01", "yto-02", "yul-01", "yul-02", "yvr-02", "nyc-01", "nyc-02", "dal-01", "dal-02"),
        *("sfo-01", "sfo-03", "lax-01", "sea-01", "chi-01", "phx-01", "was-01", "mia-01"),
    }
    for region in shipped:
        assert region.url == f"https://api.{region.id}.edge.polargrid.ai"
        assert region.country == ("CA" if region.location.startswith("Canada") else "US")
        assert region.discoverable


def test_every_region_and_alias_of_the_published_client_resolves(shipped: regions.Regions) -> None:
    for id_, known in POLARGRID_REGIONS.items():
        region = shipped.get(id_)
        assert region is not None, id_
        assert region.country == known["country"]
        assert region.name.startswith(known["name"])
    for alias, id_ in REGION_ALIASES.items():
        assert shipped.get(alias) == shipped.get(id_) is not None, alias
    for alias, id_ in {"dal": "dal-01", "dfw-01": "dal-01", "dfw-02": "dal-02"}.items():
        assert shipped.get(alias) == shipped.get(id_) is not None, alias


def test_shipped_coordinates_are_in_their_country(shipped: regions.Regions) -> None:
    for region in shipped:
        assert 24 < region.lat < 50
        assert -125 < region.lon < -73
        toronto = math.dist((region.lat, region.lon), (43.65, -79.38)) < 1
        assert toronto == region.id.startswith("yto")


def test_installed_package_finds_the_file_that_the_wheel_carried(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(regions, "__file__", str(tmp_path / "site-packages" / "shared" / "regions.py"))
    expected = Path(sysconfig.get_path("data")) / "share" / "nearedge" / "regions.yaml"
    assert regions.default_path() == expected
