import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from nearedge.cli import app
from tests.edge.store.databases import Place


def run(place: Place, *arguments: str) -> tuple[int, str, str]:
    variables = {"NEAREDGE_HOME": str(place.home)} | (
        {"NEAREDGE_DATABASE_URL": place.url} if place.url else {}
    )
    result = CliRunner().invoke(app, list(arguments), env=variables)
    return result.exit_code, result.stdout, result.stderr


def done(place: Place, *arguments: str) -> Any:
    code, out, err = run(place, *arguments, "--json")
    assert code == 0, err
    return json.loads(out)


def test_a_tenant_is_made_listed_and_changed(place: Place) -> None:
    made = done(
        place,
        *("tenants", "create", "acme", "--name", "Acme", "--billing", "postpaid"),
        "--tokens-per-minute",
        "9",
    )
    assert made == {
        "id": "acme",
        "name": "Acme",
        "billing": "postpaid",
        "requests_per_minute": None,
        "tokens_per_minute": 9,
        "concurrent_requests": None,
        "created_at": made["created_at"],
    }
    change = ("--billing", "prepaid", "--tokens-per-minute", "0", "--concurrent-requests", "4")
    changed = done(place, "tenants", "update", "acme", *change)
    expected = {"billing": "prepaid", "tokens_per_minute": None, "concurrent_requests": 4}
    assert changed == made | expected
    listed = done(place, "tenants", "list")
    assert [tenant["id"] for tenant in listed] == ["acme", "default"]
    assert listed[0] == changed
    assert (listed[1]["name"], listed[1]["billing"]) == ("Default", "unmetered")


def test_a_tenant_without_a_name_is_called_by_its_id_and_pays_before(tmp_path: Path) -> None:
    made = done(Place(tmp_path, None), "tenants", "create", "acme")
    assert (made["name"], made["billing"]) == ("acme", "prepaid")


def test_people_see_the_same_as_programs(tmp_path: Path) -> None:
    place = Place(tmp_path, None)
    code, out, _ = run(
        place, "tenants", "create", "acme", "--name", "A [b]c[/]", "--requests-per-minute", "7"
    )
    assert code == 0
    assert "A [b]c[/]" in out
    code, out, _ = run(place, "tenants", "list")
    (row,) = [line for line in out.splitlines() if "acme" in line]
    assert row.split()[1:6] == [
        "A",
        "[b]c[/]",
        "prepaid",
        "7",
        done(place, "tenants", "list")[0]["created_at"][:10],
    ]


@pytest.mark.parametrize(
    ("arguments", "code", "reason"),
    [
        (("create", "default"), 1, "there is a tenant default already"),
        (("create", "Acme"), 2, "is no tenant id"),
        (("create", "acme", "--billing", "free"), 2, "prepaid, postpaid, unmetered"),
        (("create", "acme", "--name", " "), 2, "printable characters"),
        (("create", "acme", "--requests-per-minute", "-1"), 2, "equal to 0"),
        (("update", "nobody", "--name", "x"), 1, "there is no tenant nobody"),
        (("update", "default"), 2, "nothing to change"),
    ],
)
def test_what_cannot_be_done_is_told(
    tmp_path: Path, arguments: tuple[str, ...], code: int, reason: str
) -> None:
    place = Place(tmp_path, None)
    found, out, err = run(place, "tenants", *arguments)
    assert (found, out) == (code, "")
    assert reason in " ".join(err.split())
    assert [tenant["id"] for tenant in done(place, "tenants", "list")] == ["default"]


def test_a_tenants_keys_are_made_listed_and_rotated(place: Place) -> None:
    done(place, "tenants", "create", "acme")
    bounds = ("--model", "tts-1", "--region", "toronto", "--requests-per-minute", "3", "--expires-in", "30d")
    made = done(place, "keys", "create", "--tenant", "acme", "--scope", "read", "--scope", "keys", *bounds)
    assert (made["tenant_id"], made["scopes"], made["models"]) == ("acme", ["keys", "read"], ["kokoro-82m"])
    assert (made["regions"], made["limits"]["requests_per_minute"]) == (["yto-01"], 3)
    new = done(place, "keys", "rotate", made["id"], "--overlap", "0s")
    assert (new["rotated_from"], new["expires_at"], new["models"]) == (
        made["id"],
        made["expires_at"],
        made["models"],
    )
    assert new["key"] != made["key"]
    listed = done(place, "keys", "list", "--tenant", "acme")
    assert {key["id"]: key["status"] for key in listed} == {made["id"]: "expired", new["id"]: "active"}
    assert done(place, "keys", "list", "--tenant", "default") == []
    code, _, err = run(place, "keys", "rotate", made["id"])
    assert code == 1
    assert "has ended" in err


@pytest.mark.parametrize(
    ("arguments", "code", "reason"),
    [
        (("create", "--tokens-per-minute", "0"), 2, "equal to 1"),
        (("create", "--tenant", "nobody"), 1, "there is no tenant nobody"),
        (("create", "--model", "nope"), 2, "there is no model 'nope'"),
        (("create", "--region", "nope"), 2, "'nope' is no region"),
        (("create", "--expires-in", "soon"), 2, "no length of time"),
        (("create", "--expires-at", "soon"), 2, "no RFC 3339 time"),
        (("create", "--expires-at", "2020-01-01T00:00:00Z"), 2, "in the past"),
        (("create", "--expires-in", "1h", "--expires-at", "2030-01-01T00:00:00Z"), 2, "not both"),
        (("rotate", "key_0"), 1, "there is no key key_0"),
        (("rotate", "key_0", "--overlap", "91d"), 2, "from 0 to 90 days"),
    ],
)
def test_a_key_that_cannot_be_is_told(
    tmp_path: Path, arguments: tuple[str, ...], code: int, reason: str
) -> None:
    place = Place(tmp_path, None)
    found, out, err = run(place, "keys", *arguments)
    assert (found, out) == (code, "")
    assert reason in " ".join(err.split())
    assert done(place, "keys", "list") == []
