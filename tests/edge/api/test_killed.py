"""Edges that are killed at requests that have names."""

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import anyio
import pytest

from edge.accounts import Billing, KeyOrder, Scope, open_registry
from edge.accounts.credits import CreditService
from edge.store import CreditStore, open_fleet
from tests.edge.api.conftest import Edge, open_edge
from tests.edge.store.databases import Place

GRANTED = 10_000
SPOKEN = 5
"""What `hello` costs: a micro-unit for each character."""

SPEECH = {"model": "kokoro-82m", "voice": "af_sarah", "input": "hello"}
CHAT = {"model": "smollm2", "messages": [{"role": "user", "content": "one two"}], "max_tokens": 10}
TOLD = 1
"""What CHAT costs."""

KEYED = {"Idempotency-Key": "order-1"}
NEXT = {"Idempotency-Key": "order-2"}
OF_THE_PUBLISHED_CLIENT = {"X-Request-ID": "req_1764000000_0a1b2c3d4"}


async def prepare(place: Place) -> dict[str, str]:
    """Make a tenant who has credits, and return the header with a key of his."""
    async with open_registry(place.home, place.url) as registry:
        await registry.tenants.create("acme", "Acme", Billing.PREPAID)
        order = KeyOrder("test", frozenset({Scope.INFERENCE}), tenant_id="acme")
        raw = (await registry.keys.create(order)).raw
    async with open_fleet(place.home, place.url) as database:
        await CreditService(CreditStore(database)).grant("acme", GRANTED)
    return {"Authorization": f"Bearer {raw}"}


def kill(home: Path, requests: Sequence[Any], *, arrived: bool, **settings: Any) -> None:
    """Send *requests* to an edge, and kill it when they are settled and not answered."""
    order = {"home": str(home), "requests": requests, "arrived": arrived, "settings": settings}
    command = [sys.executable, "-m", "tests.edge.api.killed_edge", json.dumps(order)]
    done = subprocess.run(command, stdout=subprocess.PIPE, timeout=60, check=False)
    assert done.stdout.endswith(b"settled\n")
    assert done.returncode == -9


def usage_of(edge: Edge, authorization: dict[str, str]) -> dict[str, int]:
    """Return how many calls of each service are counted."""
    report = edge.client.get("/v1/usage", headers=authorization).json()
    return {row["service"]: row["requests"] for row in report["by_service"]}


async def account_of(place: Place) -> tuple[int, int, int]:
    """Return what the tenant has, what of it edges still hold, and what the ledger adds up to."""
    async with open_fleet(place.home, place.url) as database:
        store = CreditStore(database)
        account, entries = await store.account("acme"), await store.ledger("acme", limit=100)
    return account.credits_micro, account.leased_micro, sum(row.amount_micro for row in entries)


def replayed(answer: Any) -> bool:
    return "true" in answer.headers.get_list("Idempotent-Replayed")


@pytest.mark.parametrize("arrived", [False, True])
def test_who_asks_again_after_an_edge_was_killed_is_answered_and_pays_once(
    tmp_path: Path, arrived: bool
) -> None:
    place = Place(tmp_path, None)
    authorization = anyio.run(prepare, place)
    requests = [
        ("/v1/audio/speech", authorization | KEYED, SPEECH),
        ("/v1/chat/completions", authorization | OF_THE_PUBLISHED_CLIENT, CHAT),
    ]
    kill(tmp_path, requests, arrived=arrived)
    with open_edge(tmp_path) as edge:
        for path, headers, body in requests:
            answers = [edge.client.post(path, headers=headers, json=body) for _ in range(2)]
            assert [answer.status_code for answer in answers] == [200, 200]
            assert list(map(replayed, answers)) == [False, True]
        once = usage_of(edge, authorization)
        new = edge.client.post("/v1/audio/speech", headers=authorization | NEXT, json=SPEECH)
        assert new.status_code == 200
        twice = usage_of(edge, authorization)
    assert once == {"audio/speech": 1, "chat/completions": 1}
    assert twice == {"audio/speech": 2, "chat/completions": 1}
    left = GRANTED - 2 * SPOKEN - TOLD
    assert anyio.run(account_of, place) == (left, 0, left)


@pytest.mark.parametrize("arrived", [False, True])
def test_who_asks_another_edge_of_the_fleet_pays_once(tmp_path: Path, postgresql: str, arrived: bool) -> None:
    place = Place(tmp_path / "a", postgresql)
    authorization = anyio.run(prepare, place)
    ask = ("/v1/audio/speech", authorization | KEYED, SPEECH)
    kill(place.home, [ask], arrived=arrived, database_url=postgresql)
    for home, repeats in (("b", [False, True]), ("a", [True])):
        with open_edge(tmp_path / home, database_url=postgresql) as edge:
            answers = [edge.client.post(ask[0], headers=ask[1], json=ask[2]) for _ in repeats]
            assert [answer.status_code for answer in answers] == [200] * len(repeats)
            assert list(map(replayed, answers)) == repeats
    with open_edge(tmp_path / "b", database_url=postgresql) as edge:
        assert usage_of(edge, authorization) == {"audio/speech": 1}
    assert anyio.run(account_of, place) == (GRANTED - SPOKEN, 0, GRANTED - SPOKEN)
