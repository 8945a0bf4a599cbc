"""polargrid-sdk asks an edge about itself."""

import pytest
from polargrid import AuthenticationError, NotFoundError, PolarGrid, PolarGridSync

from tests.e2e.grids import Grid
from tests.models import pulled

SERVED = ["smollm2-135m-instruct", "all-minilm-l6-v2", "kokoro-82m", "whisper-tiny.en"]


@pytest.fixture
def client(grid: Grid, edge_url: str) -> PolarGrid:
    return PolarGrid(api_key=grid.inference_key, base_url=edge_url, timeout=120, max_retries=0)


@pytest.mark.anyio
async def test_list_models(client: PolarGrid) -> None:
    listed = await client.list_models()

    assert listed.object == "list"
    assert [model.id for model in listed.data] == SERVED
    assert all(model.root == model.id and model.owned_by for model in listed.data)
    assert all(model.pg_regions == ["yto-01"] for model in listed.data)
    # The client knows no type for speech models.
    assert [model.pg_model_type for model in listed.data] == ["chat", "embedding", None, None]
    assert [model.pg_max_tokens for model in listed.data] == [8192, 512, None, None]


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("smollm2-135m-instruct", "smollm2-135m-instruct"),
        ("HuggingFaceTB/SmolLM2-135M-Instruct", "smollm2-135m-instruct"),
        ("hexgrad/Kokoro-82M", "kokoro-82m"),
        ("yto-01/whisper-1", "whisper-tiny.en"),
        ("local/openai/whisper-large-v3-turbo", "whisper-tiny.en"),
    ],
)
async def test_get_model_by_any_of_its_names(client: PolarGrid, name: str, found: str) -> None:
    assert (await client.get_model(name)).id == found


@pytest.mark.anyio
async def test_get_an_unknown_model(client: PolarGrid) -> None:
    with pytest.raises(NotFoundError, match=r"'who/is/this'.*/v1/models"):
        await client.get_model("who/is/this")


@pytest.mark.anyio
async def test_model_status(client: PolarGrid) -> None:
    status = await client.get_model_status()

    assert status.loaded == SERVED
    assert status.loading_status == dict.fromkeys(SERVED, "loaded")
    assert status.repository == "/models"


@pytest.mark.anyio
async def test_health(client: PolarGrid) -> None:
    health = await client.health()

    assert (health.status, health.node) == ("healthy", "nearedge-yto-01")
    assert health.backend.healthy
    assert health.backend.info.name == "llama.cpp"
    assert health.features.dynamic_loading is True


def test_the_synchronous_client_gets_the_same(grid: Grid, edge_url: str) -> None:
    client = PolarGridSync(api_key=grid.inference_key, base_url=edge_url, timeout=120, max_retries=0)

    assert [model.id for model in client.list_models().data] == SERVED
    assert client.get_model("kokoro").id == "kokoro-82m"
    assert client.get_model_status().loaded == SERVED
    assert client.health().status == "healthy"


@pytest.mark.anyio
async def test_an_operator_loads_and_unloads(grid: Grid) -> None:
    pulled("hibari")
    url = grid.edges["nyc-01"]
    operator = PolarGrid(api_key=grid.operator_key, base_url=url, timeout=30, max_retries=0)

    loaded = await operator.load_model({"model_name": "maureesewilliams/hibari"})
    assert (loaded.status, loaded.model, loaded.force_reload) == ("success", "hibari", False)
    status = await operator.get_model_status()
    assert status.loaded == [*SERVED, "hibari"]
    assert [model.id for model in (await operator.list_models()).data] == [*SERVED, "hibari"]

    again = await operator.load_model({"model_name": "hibari", "force_reload": True})
    assert (again.status, again.force_reload) == ("success", True)

    unloaded = await operator.unload_model({"model_name": "hibari"})
    assert (unloaded.status, unloaded.model) == ("success", "hibari")
    assert (await operator.get_model_status()).loading_status["hibari"] == "unloaded"
    with pytest.raises(NotFoundError, match="Model not loaded: hibari"):
        await operator.get_model("hibari")
    with pytest.raises(NotFoundError, match="nearedge models list"):
        await operator.load_model({"model_name": "who/is/this"})
    assert (await operator.health()).status == "healthy"


@pytest.mark.anyio
async def test_only_an_operator_does(client: PolarGrid) -> None:
    for call in (
        client.load_model({"model_name": SERVED[0]}),
        client.unload_model({"model_name": SERVED[0]}),
        client.unload_all_models(),
    ):
        with pytest.raises(AuthenticationError, match="superadmin"):
            await call
    assert (await client.get_model_status()).loaded == SERVED
