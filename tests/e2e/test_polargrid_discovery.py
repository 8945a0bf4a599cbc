"""polargrid-sdk finds its edge through the autorouter."""

from collections.abc import Iterator

import polargrid.client
import pytest
from polargrid import PolarGrid

from tests.e2e.grids import Grid

QUESTION = [{"role": "user", "content": "Say hello."}]


@pytest.fixture(autouse=True)
def _autorouter(grid: Grid, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(polargrid.client, "AUTOROUTER_URL", grid.autorouter)
    polargrid.client._reset_region_cache_for_tests()
    yield
    polargrid.client._reset_region_cache_for_tests()


@pytest.mark.anyio
async def test_the_edge_that_the_autorouter_names_answers(grid: Grid) -> None:
    client = await PolarGrid.create(api_key=grid.inference_key, timeout=120)

    assert (client.get_region_id(), client.get_region_name()) == ("yto-01", "Toronto")
    answer = await client.chat_completion(
        {"model": "smollm2-135m-instruct", "messages": QUESTION, "max_tokens": 4}
    )
    assert answer.pg_metadata.region == "yto-01"
    assert answer.choices[0].message.content


@pytest.mark.anyio
@pytest.mark.parametrize(
    "options",
    [
        {"routing_scope": "global"},
        {"routing_scope": " Global "},
        {"routing_model": "kokoro-82m"},
        {"routing_scope": "global", "routing_model": "hexgrad/Kokoro-82M"},
    ],
    ids=["scope", "loose scope", "model", "scope and model"],
)
async def test_scope_and_model_may_be_asked_for(grid: Grid, options: dict[str, str]) -> None:
    client = await PolarGrid.create(api_key=grid.inference_key, timeout=120, **options)

    assert client.get_region_id() == "yto-01"
    assert (await client.health()).node == "nearedge-yto-01"


@pytest.mark.anyio
async def test_the_answer_is_cached_for_its_ttl(grid: Grid) -> None:
    await PolarGrid.create(api_key=grid.inference_key)

    ((pick, expires_at),) = polargrid.client._REGION_CACHE.values()
    assert pick == {"endpoint": grid.edges["yto-01"], "region_id": "yto-01", "region_name": "Toronto"}
    assert 0 < expires_at - polargrid.client.time.time() <= 300


@pytest.mark.anyio
async def test_the_autorouter_is_no_base_url(grid: Grid) -> None:
    client = PolarGrid(api_key=grid.inference_key, base_url=grid.autorouter)

    with pytest.raises(polargrid.AuthenticationError, match="/v1/route"):
        await client.chat_completion({"model": "smollm2-135m-instruct", "messages": QUESTION})
