import pytest

from edge.engines.stt import WhisperEngine
from edge.engines.stt import load as load_whisper
from tests.edge.engines.hearing import Listener
from tests.models import pulled

THREADS = 2


@pytest.fixture(scope="session")
def whisper() -> WhisperEngine:
    model, files = pulled("whisper-tiny.en")
    return load_whisper(files, dict(model.options) | {"threads": THREADS})


@pytest.fixture(scope="session")
def listener(whisper: WhisperEngine) -> Listener:
    return Listener(whisper)
