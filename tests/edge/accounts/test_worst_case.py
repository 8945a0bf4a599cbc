from typing import Any

import pytest

from edge.accounts.worst_case import worst_case
from edge.models import load_catalogue
from edge.models.catalogue import CatalogueModel
from edge.workers.messages import Embed, Generate, Request, Speak, Transcribe


def model(name: str) -> CatalogueModel:
    found = load_catalogue().resolve(name)
    assert found is not None
    return found


CHAT = model("smollm2")
INFO = {"context_tokens": 1000}


def chat(text: str, **fields: Any) -> Generate:
    return Generate(messages=[{"role": "user", "content": text}], **fields)


def test_a_prompt_has_no_more_tokens_than_bytes_and_what_the_template_adds() -> None:
    most = worst_case([Generate(prompt="é" * 10, max_tokens=5)], CHAT, INFO)
    assert 20 < most.prompt_tokens < 100
    assert most.completion_tokens == 5


@pytest.mark.parametrize(
    "order",
    [
        Generate(prompt="a" * 5000),
        chat("a" * 5000),
        Generate(messages=[{"role": "user", "content": [{"type": "image", "data": b""}]}]),
        chat("a", tools=[{"name": "f", "description": "a" * 2000}]),
        Generate(messages=[{"role": "user", "content": "a", "name": "b" * 2000}]),
    ],
)
def test_the_context_bounds_what_is_long_or_cannot_be_told(order: Request) -> None:
    most = worst_case([order], CHAT, INFO)
    assert most.prompt_tokens == 1000
    assert most.completion_tokens == 1000


def test_token_ids_are_counted() -> None:
    assert worst_case([Generate(prompt=[1] * 300, max_tokens=0)], CHAT, INFO).prompt_tokens < 350


def test_choices_share_their_prompt() -> None:
    one = worst_case([chat("hello", max_tokens=7)], CHAT, INFO)
    four = worst_case([chat("hello", max_tokens=7)] * 4, CHAT, INFO, per_prompt=4)
    assert four.prompt_tokens == one.prompt_tokens
    assert four.completion_tokens == 28


def test_the_catalogue_tells_the_context_of_a_model_that_is_not_loaded() -> None:
    assert worst_case([chat("a")], CHAT, {}).completion_tokens == CHAT.context_tokens


def test_embeddings_cost_their_inputs() -> None:
    most = worst_case(
        [Embed(["abc", [1, 2], "a" * 9999])], model("all-minilm-l6-v2"), {"context_tokens": 512}
    )
    assert most.prompt_tokens == 5 + 4 + 512


def test_speech_costs_its_characters() -> None:
    assert worst_case([Speak("héllo", "af_sarah")], model("kokoro-82m"), {}).characters == 5


def test_a_recording_is_no_longer_than_its_bytes_allow_nor_than_the_engine_takes() -> None:
    whisper = model("whisper-1")
    assert worst_case([Transcribe(b"\0" * 1250)], whisper, {}).audio_ms == 11_000
    assert worst_case([Transcribe(b"\0" * 10**6)], whisper, {"max_audio_seconds": 60}).audio_ms == 60_000
