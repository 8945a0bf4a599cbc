"""What the published client and raw HTTP tell of usage, with real models."""

import time
from collections.abc import Callable
from typing import Any

import httpx
from polargrid import PolarGridSync

from tests.e2e.events import ENDLESS, events
from tests.e2e.grids import Grid

MODEL = "smollm2-135m-instruct"


def text_usage(http: httpx.Client) -> dict[str, Any]:
    rows: list[dict[str, Any]] = http.get("/v1/usage", params={"group_by": "model,service"}).json()["data"]
    found = [row for row in rows if row["model"] == MODEL and row["service"] == "completions"]
    return found[0] if found else {"requests": 0, "prompt_tokens": 0, "completion_tokens": 0, "errors": 0}


def test_one_who_leaves_in_mid_stream_pays_for_the_tokens_made(
    http: httpx.Client, measured: Callable[[str], None]
) -> None:
    before = text_usage(http)
    with http.stream("POST", "/v1/completions", json=ENDLESS | {"stream": True}) as answer:
        received = events(answer)
        for _ in range(5):
            next(received)
    deadline = time.monotonic() + 20
    while (after := text_usage(http))["requests"] == before["requests"]:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    made = after["completion_tokens"] - before["completion_tokens"]
    measured(f"one who left after 5 events pays for {made} tokens")
    assert after["errors"] == before["errors"] + 1
    assert after["prompt_tokens"] > before["prompt_tokens"]
    assert 5 <= made < 500


def test_what_an_answer_says_is_what_usage_counts(http: httpx.Client) -> None:
    before = text_usage(http)
    body = {"model": MODEL, "prompt": "One, two, three,", "max_tokens": 7, "n": 2}
    said = http.post("/v1/completions", json=body).json()["usage"]
    after = text_usage(http)
    assert after["requests"] == before["requests"] + 1
    for name in ("prompt_tokens", "completion_tokens"):
        assert after[name] - before[name] == said[name]


def test_the_published_client_reads_usage(grid: Grid, edge_url: str, http: httpx.Client) -> None:
    text_usage(http)
    http.post("/v1/completions", json={"model": MODEL, "prompt": "One,", "max_tokens": 1})
    client = PolarGridSync(api_key=grid.inference_key, base_url=edge_url, timeout=120, max_retries=0)
    answer = client.get_usage()
    models = client.list_models()
    assert answer.usage.total_requests >= 1
    assert answer.usage.total_tokens >= 2
    assert answer.usage.total_cost > 0
    assert {model.model_id for model in answer.usage.by_model} >= {MODEL}
    assert [region.region for region in answer.usage.by_region] == ["yto-01"]
    assert answer.period.start_date < answer.period.end_date
    (priced,) = [model.pg_pricing for model in models.data if model.id == MODEL]
    assert priced is not None
    assert 0 < priced.input_tokens < priced.output_tokens
