import pytest

from edge.engines.tts.phonemes import Phonemizer


@pytest.fixture(scope="session")
def american() -> Phonemizer:
    return Phonemizer(british=False)


@pytest.fixture(scope="session")
def british() -> Phonemizer:
    return Phonemizer(british=True)
