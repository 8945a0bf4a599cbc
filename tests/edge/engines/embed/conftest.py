import pytest

from edge.engines.embed import EmbedEngine, load
from edge.engines.embed.encoder import Encoder
from edge.engines.embed.engine import STEP_INPUTS
from edge.engines.llama import Model
from tests.models import pulled


@pytest.fixture(scope="session")
def encoder() -> Encoder:
    model, files = pulled("all-minilm-l6-v2")
    assert model.context_tokens is not None
    return Encoder(
        Model(files["model"]), context_tokens=model.context_tokens, threads=1, max_inputs=STEP_INPUTS
    )


@pytest.fixture(scope="session")
def engine() -> EmbedEngine:
    model, files = pulled("all-minilm-l6-v2")
    return load(files, dict(model.options) | {"context_tokens": model.context_tokens, "threads": 1})
