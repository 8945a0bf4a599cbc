from ipaddress import ip_address
from typing import Any

import pytest

from benchmarks.autorouter.brute_force import BruteForce, Expected
from benchmarks.autorouter.workloads import answers
from benchmarks.autorouter.workloads.answers import Checked, wrong_answers


class Always(BruteForce):
    """Expects one and the same, and abroad something else."""

    def __init__(self) -> None:
        pass

    def expected(self, address: object, scope: str) -> Expected:
        return Expected(("yto-01",), "CA", 1.0, "country" if scope == "country" else "nearest")


def test_each_address_is_checked_in_both_scopes(monkeypatch: pytest.MonkeyPatch) -> None:
    async def ask_all(port: int, questions: list[tuple[str, str]]) -> list[dict[str, Any]]:
        assert questions == [(a, s) for a in ("8.8.8.8", "9.9.9.9") for s in ("country", "global")]
        right = {"region": "yto-01", "fallbacks": [], "country": "CA", "distance_km": 1.0}
        reasons = ["country", "nearest", "country", "country"]
        return [right | {"reason": reason} for reason in reasons]

    monkeypatch.setattr(answers, "ask_all", ask_all)
    addresses = [ip_address("8.8.8.8"), ip_address("9.9.9.9")]
    assert list(wrong_answers(1, addresses, Always())) == [
        "9.9.9.9, scope global: CA, country instead of CA, nearest"
    ]


def test_one_wrong_answer_of_many_is_not_all_right() -> None:
    assert Checked(100, 50, 80, 200, ()).share == 1.0
    assert Checked(100, 50, 80, 200_000, ("8.8.8.8: …",)).share < 1.0
