import pytest

from edge.engines.embed import EmbedEngine, load
from tests.models import pulled


@pytest.fixture(scope="session")
def engine() -> EmbedEngine:
    model, files = pulled("all-minilm-l6-v2")
    return load(files, dict(model.options) | {"context_tokens": model.context_tokens, "threads": 1})
