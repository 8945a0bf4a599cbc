from pathlib import Path

import pytest

from edge.engines.llama import Model
from tests.edge.tiny_llama import write_llama


@pytest.fixture(scope="session")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_llama(tmp_path_factory.mktemp("llama") / "tiny.gguf")


@pytest.fixture(scope="session")
def model(file: Path) -> Model:
    return Model(file)
