from typing import Any

import numpy as np
import pytest

from edge.engines.base import InvalidRequest
from edge.engines.embed import EmbedEngine
from edge.workers.messages import Embed, Generate, Vectors
from tests.edge.engines.running import run

Rows = np.ndarray[Any, np.dtype[np.float32]]


def embed(engine: EmbedEngine, *inputs: str | list[int]) -> tuple[Rows, Vectors]:
    (event,) = run(engine, Embed(list(inputs)))
    assert isinstance(event, Vectors)
    return np.frombuffer(event.data, "<f4").reshape(-1, event.dimensions), event


def test_vectors_have_unit_length_and_meaning(engine: EmbedEngine) -> None:
    rows, event = embed(
        engine, "A cat sits on the mat.", "A kitten rests on a rug.", "Interest rates rose in March."
    )
    assert rows.shape == (3, 384)
    assert np.allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-5)
    assert rows[0] @ rows[1] > 0.5 > rows[0] @ rows[2]
    assert event.prompt_tokens > 15


def test_a_vector_does_not_depend_on_its_neighbours(engine: EmbedEngine) -> None:
    texts = [
        f"Sentence number {number} about topic {number * 7}. " * (number % 5 + 1) for number in range(40)
    ]
    together, _ = embed(engine, *texts)
    for index in (0, 7, 15, 16, 39):
        alone, _ = embed(engine, texts[index])
        assert float(alone[0] @ together[index]) > 0.9999


def test_tokens_are_an_input_too(engine: EmbedEngine) -> None:
    tokens = engine._model.tokenize("hello world", add_special=True, parse_special=False)
    assert np.allclose(embed(engine, tokens)[0], embed(engine, "hello world")[0], atol=1e-5)


@pytest.mark.parametrize(
    ("item", "says"),
    [
        ("word " * 600, "tokens and the model takes"),
        ("x" * 1_000_000, "characters and the model takes"),
        ([1] * 600, "600 tokens"),
        ([10**9], "outside"),
        ([], "no text"),
    ],
)
def test_inputs_that_cannot_be_embedded_say_which_and_why(
    engine: EmbedEngine, item: str | list[int], says: str
) -> None:
    with pytest.raises(InvalidRequest, match=says) as caught:
        embed(engine, "fine", item)
    assert "input 1" in str(caught.value)
    assert caught.value.param == "input"


def test_what_is_not_an_embedding_is_refused(engine: EmbedEngine) -> None:
    with pytest.raises(InvalidRequest):
        run(engine, Generate(prompt="a"))
