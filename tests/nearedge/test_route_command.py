import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from autorouter.grid_state import EdgeState, GridState, ModelState
from autorouter.subdivisions import subdivision_middle
from nearedge.cli import app
from nearedge.commands import route
from shared import regions
from tests.autorouter import mmdb

TORONTO, LONDON, PARIS = "99.230.0.1", "81.2.69.160", "81.3.0.1"


def explain(*arguments: str, **settings: object) -> tuple[int, str, str]:
    env = {f"NEAREDGE_{name.upper()}": str(value) for name, value in settings.items()}
    result = CliRunner().invoke(app, ["route", "explain", *arguments], env=env)
    return result.exit_code, result.stdout, result.stderr


def facts(out: str) -> dict[str, str]:
    """Return the lines around the table, by their first words."""
    lines = [line for line in out.splitlines() if line and not line.startswith(" ")]
    return {line[:11].strip(): line[11:] for line in lines}


def rows(out: str) -> dict[str, list[str]]:
    """Return the table's rows by their regions."""
    cells = [line.split() for line in out.splitlines() if line.startswith(" ") and "-0" in line]
    return {row[1] if row[0].isdigit() else row[0]: row for row in cells}


@pytest.fixture
def geoip_file(tmp_path: Path) -> Path:
    records = {
        "99.230.0.0/16": {
            "country": {"iso_code": "CA"},
            "location": {"latitude": 43.7, "longitude": -79.4},
            "subdivisions": [{"iso_code": "ON"}],
        },
        "81.2.69.0/24": {
            "country": {"iso_code": "GB"},
            "location": {"latitude": 51.5, "longitude": -0.1},
        },
        "81.3.0.0/24": {"country": {"iso_code": "FR"}},
        "81.4.0.0/24": {"country": {"iso_code": "US"}},
    }
    return mmdb.write(tmp_path / "test.mmdb", records)


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> None:
    """Edges of which Toronto's are not to be had, and New York's serve another model."""
    good = EdgeState(models={"m": ModelState("llm")})
    edges = {region.id: good for region in regions.load(regions.default_path())}
    edges["yto-01"] = EdgeState(up=False, models={"m": ModelState("llm")})
    edges["yto-02"] = EdgeState(draining=True, models={"m": ModelState("llm")})
    edges["yul-01"] = EdgeState(models={"m": ModelState("llm", busy=True)})
    edges["nyc-01"] = edges["nyc-02"] = EdgeState(models={"x": ModelState("other")})
    monkeypatch.setattr(route, "edge_states", lambda *_: GridState(edges, watched=True))


def test_every_step_is_told(geoip_file: Path) -> None:
    code, out, err = explain(TORONTO, geoip_file=geoip_file)
    assert (code, err) == (0, "")
    assert facts(out) == {
        "address": TORONTO,
        "place": "CA-ON, 43.7, -79.4, by test.mmdb (Test-City, built 2020-09-13)",
        "asked for": "scope country, any model",
        "rule": "none for CA",
        "distance": "from the caller",
        "edges": "not asked: all count as available, whatever the model",
        "answer": "yto-01 (country): the first of the caller's country",
        "fallbacks": "yto-02, yul-01",
    }
    table = rows(out)
    assert list(table) == [
        *("yto-01", "yto-02", "yul-01", "yul-02", "yvr-02", "nyc-01", "nyc-02", "was-01", "chi-01", "dal-01"),
        *("dal-02", "mia-01", "phx-01", "sea-01", "lax-01", "sfo-01", "sfo-03"),
    ]
    assert table["yto-01"] == ["1", "yto-01", "CA", "6", "km", "not", "asked", "chosen"]
    assert table["yul-01"][-1] == "fallback"


def test_state_of_each_edge_is_told(geoip_file: Path, watched: None) -> None:
    _, out, _ = explain(TORONTO, "--model", "M", geoip_file=geoip_file)
    assert facts(out)["edges"] == "each was asked once, just now"
    assert facts(out)["answer"] == "yul-02 (country): the first of the caller's country"
    assert facts(out)["fallbacks"] == "yvr-02, was-01"
    table = rows(out)
    assert [" ".join(table[id_][5:]) for id_ in ("yto-01", "yto-02", "yul-01", "yul-02", "nyc-01")] == [
        "down",
        "draining",
        "up, busy",
        "up chosen",
        "not serve it",
    ]
    assert list(table)[-5:] == ["yul-01", "yto-01", "yto-02", "nyc-01", "nyc-02"]


def test_model_that_no_edge_serves_is_told_as_the_answer_would(geoip_file: Path, watched: None) -> None:
    code, out, _ = explain(TORONTO, "--model", "nonsense", geoip_file=geoip_file)
    assert code == 0
    assert facts(out)["answer"].startswith("404: No edge that you can be sent to serves the model 'nonsense'")


def test_rule_that_holds_is_told(geoip_file: Path, tmp_path: Path) -> None:
    file = tmp_path / "regions.yaml"
    file.write_text(regions.default_path().read_text() + "overrides:\n  CA-ON: [nyc-01]\n")
    _, out, _ = explain(TORONTO, geoip_file=geoip_file, regions_file=file)
    assert facts(out)["rule"] == "CA-ON, from the overrides of the regions file"
    assert facts(out)["answer"] == "nyc-01 (override): the first of the rule"
    assert facts(out)["fallbacks"] == "yto-01, yto-02"


def test_global_scope_is_that_of_the_query(geoip_file: Path) -> None:
    _, out, _ = explain(LONDON, "--scope", "global", geoip_file=geoip_file)
    assert facts(out)["asked for"] == "scope global, any model"
    assert facts(out)["answer"] == "yul-01 (nearest): the nearest"


@pytest.mark.parametrize(
    ("address", "place"),
    [
        ("10.0.0.1", "unknown: not a public address"),
        ("::1", "unknown: not a public address"),
        ("9.9.9.9", "unknown: not in test.mmdb (Test-City, built 2020-09-13)"),
    ],
)
def test_caller_from_nowhere_gets_the_default(geoip_file: Path, address: str, place: str) -> None:
    code, out, _ = explain(address, geoip_file=geoip_file, default_region="montreal")
    assert (code, facts(out)["place"]) == (0, place)
    assert facts(out)["distance"] == "from the default region, yul-01"
    assert facts(out)["answer"] == "yul-01 (default): the default, since nobody can tell where the caller is"
    assert rows(out)["yul-01"][3] == "unknown"


def test_caller_of_whom_only_the_country_is_known(geoip_file: Path) -> None:
    _, out, _ = explain("81.4.0.1", geoip_file=geoip_file)
    assert facts(out)["distance"] == "US's in the order of the file, others from the middle of US"
    assert facts(out)["fallbacks"] == "nyc-02, was-01"
    _, out, _ = explain(PARIS, geoip_file=geoip_file)
    assert facts(out)["place"].startswith("FR, unknown coordinates, by ")
    assert facts(out)["distance"] == "from the middle of FR"


CDN = {"autorouter_cdn": "cloudfront", "autorouter_cdn_secret": "s3cret"}


def test_caller_behind_a_cdn_is_in_the_middle_of_his_subdivision(geoip_file: Path) -> None:
    middle = subdivision_middle("CA", "ON")
    assert middle is not None
    by = "by test.mmdb (Test-City, built 2020-09-13)"
    _, out, _ = explain(TORONTO, geoip_file=geoip_file, **CDN)
    at = f"{middle[0]}, {middle[1]}"
    assert facts(out)["place"] == f"CA-ON, {at}, as for callers through cloudfront, {by}"
    _, out, _ = explain(TORONTO, "--json", geoip_file=geoip_file, **CDN)
    told = json.loads(out)
    assert (told["through_cdn"], told["place"]["lat"], told["place"]["lon"]) == (True, *middle)
    _, out, _ = explain(TORONTO, geoip_file=geoip_file, **CDN | {"autorouter_cdn": "cloudflare"})
    assert facts(out)["place"].startswith("CA, unknown coordinates, as for callers through cloudflare, ")


@pytest.mark.parametrize(
    ("arguments", "more"), [(["--no-cdn"], {}), ([], {"autorouter_cdn_precision": "coordinates"})]
)
def test_caller_without_a_cdn_is_where_he_is(
    geoip_file: Path, arguments: list[str], more: dict[str, str]
) -> None:
    _, out, _ = explain(TORONTO, *arguments, geoip_file=geoip_file, **CDN | more)
    assert facts(out)["place"].startswith("CA-ON, 43.7, -79.4, by ")


def test_folded_address_is_told(geoip_file: Path) -> None:
    _, out, _ = explain(f"::ffff:{TORONTO}", geoip_file=geoip_file)
    assert facts(out)["address"] == f"{TORONTO}, given as ::ffff:{TORONTO}"


def test_json_has_every_region(geoip_file: Path, watched: None) -> None:
    code, out, err = explain(TORONTO, "--model", "m", "--json", geoip_file=geoip_file)
    assert (code, err) == (0, "")
    told = json.loads(out)
    candidates = told.pop("candidates")
    assert told == {
        "address": TORONTO,
        "place": {"country": "CA", "subdivision": "ON", "lat": 43.7, "lon": -79.4},
        "through_cdn": False,
        "geoip": {
            "file": "test.mmdb",
            "database_type": "Test-City",
            "build_epoch": 1_600_000_000,
            "ip_version": 6,
        },
        "scope": "country",
        "model": "m",
        "rule": None,
        "origin": "caller",
        "watched": True,
        "answer": {
            "region": "yul-02",
            "reason": "country",
            "degraded": False,
            "distance_km": pytest.approx(503, abs=1),
            "fallbacks": ["yvr-02", "was-01"],
        },
        "refusal": None,
    }
    assert len(candidates) == 17
    assert candidates[-1] == {
        "region": "nyc-02",
        "country": "US",
        "distance_km": pytest.approx(554, abs=1),
        "standing": None,
        "up": True,
        "draining": False,
        "models": ["other"],
    }


def test_table_of_a_large_grid_is_cut(geoip_file: Path, tmp_path: Path) -> None:
    row = '  - {{id: r-{0:03}, name: N, location: L, country: CA, lat: 0, lon: {0}, url: "http://r.test"}}\n'
    file = tmp_path / "regions.yaml"
    file.write_text("regions:\n" + "".join(row.format(number) for number in range(route.SHOWN + 3)))
    _, out, _ = explain(TORONTO, geoip_file=geoip_file, regions_file=file)
    assert len(rows(out)) == route.SHOWN
    assert "and 3 more, which --json shows" in out


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["nonsense"], "'nonsense' is not an IP address"),
        ([TORONTO, "--scope", "planet"], "--scope: 'planet' is neither country nor global"),
    ],
)
def test_what_cannot_be_read_is_refused(geoip_file: Path, arguments: list[str], complaint: str) -> None:
    code, out, err = explain(*arguments, geoip_file=geoip_file)
    assert (code, out) == (2, "")
    assert complaint in err
