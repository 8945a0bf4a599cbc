import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from edge.accounts import Billing, Scope
from tests.edge.api.accounts import Customer, customer
from tests.edge.api.conftest import Edge

SPOKEN = 5
"""What `hello` costs: a micro-unit for each character."""


def credits_of(caller: Customer, **query: Any) -> Any:
    answer = caller.get("/v1/credits", **query)
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.mark.parametrize("stream", [False, True])
def test_without_credits_no_work_starts(edge: Edge, stream: bool) -> None:
    caller = customer(edge, Billing.PREPAID, SPOKEN - 1)
    answer = caller.speak(stream=stream)
    assert answer.status_code == 402
    assert answer.json()["error"]["code"] == "insufficient_credits"
    assert answer.json()["error"]["type"] == "billing_error"
    assert "0.000005" in answer.json()["detail"]
    assert caller.get("/v1/usage").json()["usage"]["total_requests"] == 0


def test_a_call_is_charged_what_it_used(edge: Edge) -> None:
    caller = customer(edge, Billing.PREPAID, 1000)
    assert caller.speak().status_code == 200
    assert caller.speak(stream=True).status_code == 200
    body = credits_of(caller)
    assert body["credits_micro"] == 1000 - 2 * SPOKEN
    assert body["billing"] == "prepaid"
    assert body["tenant_id"] == caller.tenant_id
    assert sum(entry["amount_micro"] for entry in body["data"]) == 1000 - 2 * SPOKEN
    assert body["data"][-1] | {"id": "", "at": ""} == {
        "id": "",
        "at": "",
        "kind": "grant",
        "amount_micro": 1000,
        "note": "",
    }


def test_a_call_that_fails_is_free(edge: Edge) -> None:
    caller = customer(edge, Billing.PREPAID, SPOKEN)
    assert caller.speak("fail").status_code == 502
    assert caller.speak().status_code == 200
    assert caller.speak().status_code == 402


def test_of_64_calls_at_once_credits_for_10_run_exactly_10(edge: Edge) -> None:
    caller = customer(edge, Billing.PREPAID, 10 * SPOKEN + SPOKEN - 1)
    with ThreadPoolExecutor(64) as threads:
        statuses = list(threads.map(lambda _: caller.speak().status_code, range(64)))
    assert sorted(statuses) == [200] * 10 + [402] * 54
    assert credits_of(caller)["credits_micro"] == SPOKEN - 1


def test_one_who_pays_later_is_charged_below_zero(edge: Edge) -> None:
    caller = customer(edge, Billing.POSTPAID)
    assert caller.speak().status_code == 200
    assert credits_of(caller)["credits_micro"] == -SPOKEN


def test_an_unmetered_tenant_is_told_what_it_would_cost_and_not_charged(edge: Edge) -> None:
    caller = customer(edge, Billing.UNMETERED)
    assert caller.speak().status_code == 200
    assert caller.get("/v1/usage").json()["usage"]["total_cost"] == pytest.approx(SPOKEN / 1e6)
    assert credits_of(caller)["credits_micro"] == 0
    assert credits_of(caller)["data"] == []


def test_an_operator_grants_credits(edge: Edge) -> None:
    caller = customer(edge, Billing.PREPAID)
    operator = {"Authorization": f"Bearer {edge.key(Scope.SUPERADMIN)}"}
    body = {"tenant_id": caller.tenant_id, "amount_micro": SPOKEN, "note": "welcome"}
    assert caller.speak().status_code == 402
    answer = edge.client.post("/v1/credits/grants", json=body, headers=operator)
    assert answer.status_code == 200
    assert answer.json()["credits_micro"] == SPOKEN
    assert answer.json()["entry"]["note"] == "welcome"
    time.sleep(0.3)
    assert caller.speak().status_code == 200


def test_others_do_not_grant_credits(edge: Edge) -> None:
    caller = customer(edge, Billing.PREPAID, 0, Scope.INFERENCE, Scope.KEYS)
    answer = caller.post("/v1/credits/grants", tenant_id=caller.tenant_id, amount_micro=5)
    assert answer.status_code == 403


@pytest.mark.parametrize(
    ("fields", "status", "param"),
    [
        ({"tenant_id": "nobody"}, 404, "tenant_id"),
        ({"amount_micro": 0}, 400, "amount_micro"),
        ({"amount_micro": 1.5}, 400, "amount_micro"),
        ({"amount_micro": 10**16}, 400, "amount_micro"),
        ({"note": "a" * 201}, 400, "note"),
    ],
)
def test_a_bad_grant_is_refused(edge: Edge, fields: dict[str, Any], status: int, param: str) -> None:
    operator = {"Authorization": f"Bearer {edge.key(Scope.SUPERADMIN)}"}
    body = {"tenant_id": "default", "amount_micro": 5} | fields
    answer = edge.client.post("/v1/credits/grants", json=body, headers=operator)
    assert answer.status_code == status
    assert answer.json()["error"]["param"] == param


def test_the_ledger_comes_in_pages(edge: Edge) -> None:
    caller = customer(edge, Billing.PREPAID)
    for micro in (1, 2, 3):
        caller.grant(micro)
        time.sleep(0.002)
    first = credits_of(caller, limit=2)
    rest = credits_of(caller, limit=2, cursor=first["next_cursor"])
    assert [entry["amount_micro"] for entry in (*first["data"], *rest["data"])] == [3, 2, 1]
    assert rest["next_cursor"] is None
    assert caller.get("/v1/credits", cursor="bad").status_code == 400
