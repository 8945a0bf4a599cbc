import numpy as np
import pytest

from edge.engines.base import InvalidRequest
from edge.engines.embed.encoder import Encoder, unit
from edge.engines.llama import LlamaError, Model
from tests.models import pulled

HELLO_WORLD = [101, 7592, 2088, 102]
"""[CLS] hello world [SEP] in BERT's vocabulary."""


def test_texts_become_tokens_and_tokens_stay(encoder: Encoder) -> None:
    assert encoder.read("Hello  world", 0) == HELLO_WORLD
    assert encoder.read(HELLO_WORLD, 0) == HELLO_WORLD


def test_what_looks_like_a_special_token_is_text(encoder: Encoder) -> None:
    assert encoder.read("[SEP]", 0).count(102) == 1


def test_white_space_makes_no_text_too_long(encoder: Encoder) -> None:
    assert encoder.read(f"hello{' ' * 100_000}world", 0) == HELLO_WORLD


@pytest.mark.parametrize(
    ("item", "says"),
    [
        ("word " * 600, "6.. tokens and the model takes 512 tokens; split it"),
        ("x" * 1_000_000, "1000000 characters and the model takes"),
        ([1] * 513, "513 tokens"),
        ([30_522], "outside 0 to 30521"),
        ([-1], "outside"),
        ([10**9], "outside"),
        ([], "no text"),
        ("", "no text"),
    ],
)
def test_inputs_that_cannot_be_embedded_say_which_and_why(
    encoder: Encoder, item: str | list[int], says: str
) -> None:
    with pytest.raises(InvalidRequest, match=f"input 7 .*{says}") as caught:
        encoder.read(item, 7)
    assert caught.value.param == "input"


def test_the_longest_input_fits(encoder: Encoder) -> None:
    (vector,) = encoder.embed([encoder.read([2088] * 512, 0)])
    assert vector.shape == (384,)
    assert np.isfinite(vector).all()


def test_a_model_that_generates_text_is_refused() -> None:
    _, files = pulled("smollm2-135m-instruct")
    with pytest.raises(LlamaError, match="not for embeddings"):
        Encoder(Model(files["model"]), context_tokens=64, threads=1, max_inputs=2)


def test_unit_vectors() -> None:
    vector = np.array([3, 4, 12, 5], np.float32)
    assert unit(vector, 2) == pytest.approx([0.6, 0.8])
    assert unit(vector, 4) == pytest.approx(vector / np.linalg.norm(vector))
    assert not unit(np.zeros(3, np.float32), 3).any()
    assert unit(np.full(4, 1e30, np.float32), 4) == pytest.approx([0.5] * 4)
