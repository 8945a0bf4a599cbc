import pytest

from edge.settings import EdgeSettings
from shared.settings import SettingsError, load


@pytest.mark.parametrize(
    ("queue", "given", "expected"),
    [("64", "0", 32), ("1", "0", 1), ("7", "0", 3), ("64", "5", 5), ("8", "8", 8)],
)
def test_soft_limit_is_half_of_the_queue_unless_set(queue: str, given: str, expected: int) -> None:
    settings = load(EdgeSettings, {"NEAREDGE_EDGE_QUEUE": queue, "NEAREDGE_EDGE_SOFT_LIMIT": given})
    assert settings.soft_limit == expected


def test_soft_limit_above_the_queue_is_refused() -> None:
    with pytest.raises(SettingsError, match="NEAREDGE_EDGE_SOFT_LIMIT must not be above NEAREDGE_EDGE_QUEUE"):
        load(EdgeSettings, {"NEAREDGE_EDGE_QUEUE": "8", "NEAREDGE_EDGE_SOFT_LIMIT": "9"})


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, {"chat": 9, "embedding": 9, "tts": 9, "stt": 9}),
        ({"EDGE_THREADS": "3"}, {"chat": 3, "embedding": 3, "tts": 3, "stt": 3}),
        ({"EDGE_TTS_THREADS": "1", "EDGE_STT_THREADS": "2"}, {"chat": 9, "tts": 1, "stt": 2}),
    ],
)
def test_models_that_work_with_sound_may_have_threads_of_their_own(
    monkeypatch: pytest.MonkeyPatch, given: dict[str, str], expected: dict[str, int]
) -> None:
    monkeypatch.setattr("edge.settings.available_cpus", lambda: 9)
    settings = load(EdgeSettings, {f"NEAREDGE_{name}": value for name, value in given.items()})
    assert {kind: settings.threads(kind) for kind in expected} == expected


def test_models_that_work_with_sound_give_way() -> None:
    settings = load(EdgeSettings, {"NEAREDGE_EDGE_SPEECH_NICE": "7"})
    nice = {kind: settings.nice(kind) for kind in ("chat", "embedding", "tts", "stt")}
    assert nice == {"chat": 0, "embedding": 0, "tts": 7, "stt": 7}
