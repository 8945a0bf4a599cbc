import pytest

from edge.engines.llm import LlmEngine, load
from tests.models import pulled

CONTEXT_TOKENS = 1024


@pytest.fixture(scope="session")
def engine() -> LlmEngine:
    model, files = pulled("smollm2-135m-instruct")
    return load(files, dict(model.options) | {"context_tokens": CONTEXT_TOKENS, "threads": 1})
