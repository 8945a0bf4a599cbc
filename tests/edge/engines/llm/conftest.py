import pytest

from edge.engines.llama import Model
from edge.engines.llm import LlmEngine, load
from tests.edge.engines.llm.writing import Writer
from tests.models import pulled

CONTEXT_TOKENS = 1024


@pytest.fixture(scope="session")
def engine() -> LlmEngine:
    model, files = pulled("smollm2-135m-instruct")
    return load(files, dict(model.options) | {"context_tokens": CONTEXT_TOKENS, "threads": 1})


@pytest.fixture(scope="session")
def writer() -> Writer:
    _, files = pulled("smollm2-135m-instruct")
    return Writer(Model(files["model"]))
