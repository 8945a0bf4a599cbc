import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from nearedge.cli import app


def run(home: Path, *arguments: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, ["credits", *arguments], env={"NEAREDGE_HOME": str(home)})
    return result.exit_code, result.stdout, result.stderr


def shown(home: Path, tenant: str = "default") -> Any:
    code, out, _ = run(home, "show", tenant, "--json")
    assert code == 0
    return json.loads(out)


def test_credits_are_granted_and_taken_away(tmp_path: Path) -> None:
    code, out, _ = run(tmp_path, "grant", "default", "12.50", "--note", "welcome", "--json")
    assert code == 0
    assert json.loads(out)["credits_micro"] == 12_500_000
    code, out, _ = run(tmp_path, "grant", "default", "-0.000001")
    assert code == 0
    assert "12.499999" in out
    body = shown(tmp_path)
    assert body["credits_micro"] == body["balance_micro"] == 12_499_999
    assert [(row["kind"], row["amount_micro"], row["note"]) for row in body["ledger"]] == [
        ("grant", -1, ""),
        ("grant", 12_500_000, "welcome"),
    ]


def test_the_table_shows_them_too(tmp_path: Path) -> None:
    run(tmp_path, "grant", "default", "3", "--note", "[b]first[/b]")
    code, out, _ = run(tmp_path, "show")
    assert code == 0
    assert "default has 3, of which edges hold 0" in out
    assert "[b]first[/b]" in out


@pytest.mark.parametrize("amount", ["much", "0.0000001", "nan", "inf", "1e20"])
def test_an_amount_that_is_none_is_refused(tmp_path: Path, amount: str) -> None:
    code, _, err = run(tmp_path, "grant", "default", amount)
    assert code == 2
    assert "is no amount" in err


@pytest.mark.parametrize(
    ("tenant", "amount", "told"), [("nobody", "1", "no tenant"), ("default", "0", "zero")]
)
def test_a_grant_that_cannot_be_is_told(tmp_path: Path, tenant: str, amount: str, told: str) -> None:
    code, _, err = run(tmp_path, "grant", tenant, amount)
    assert code == 1
    assert told in err
    assert shown(tmp_path)["ledger"] == []
