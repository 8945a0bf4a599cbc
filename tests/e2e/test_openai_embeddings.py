"""The openai package embeds texts at an edge."""

import numpy as np
import openai
import pytest

MODEL = "all-minilm-l6-v2"
DIMENSIONS = 384


def vectors_of(
    answer: openai.types.CreateEmbeddingResponse,
) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    return np.array([row.embedding for row in answer.data])


def test_what_the_package_asks_for_by_itself(client: openai.OpenAI) -> None:
    # It asks for base64 and decodes it.
    answer = client.embeddings.create(model="text-embedding-3-small", input=["first", "second"])

    assert (answer.object, answer.model) == ("list", MODEL)
    assert [(row.object, row.index) for row in answer.data] == [("embedding", 0), ("embedding", 1)]
    assert np.linalg.norm(vectors_of(answer), axis=1) == pytest.approx(1, abs=1e-5)
    assert answer.usage.prompt_tokens == answer.usage.total_tokens > 4


def test_floats_are_the_same_numbers(client: openai.OpenAI) -> None:
    packed = vectors_of(client.embeddings.create(model=MODEL, input="a text"))
    floats = vectors_of(client.embeddings.create(model=MODEL, input="a text", encoding_format="float"))
    base64 = client.embeddings.create(model=MODEL, input="a text", encoding_format="base64")

    assert packed.shape == floats.shape == (1, DIMENSIONS)
    assert floats == pytest.approx(packed, abs=1e-7)
    assert isinstance(base64.data[0].embedding, str)


def test_fewer_dimensions_are_the_first_ones_at_unit_length(client: openai.OpenAI) -> None:
    whole = vectors_of(client.embeddings.create(model=MODEL, input="a text"))[0]
    short = vectors_of(client.embeddings.create(model=MODEL, input="a text", dimensions=64))[0]

    assert short == pytest.approx(whole[:64] / np.linalg.norm(whole[:64]), abs=1e-6)


def test_tokens(client: openai.OpenAI) -> None:
    # [CLS] hello world [SEP] in BERT's vocabulary
    tokens = [101, 7592, 2088, 102]
    text = vectors_of(client.embeddings.create(model=MODEL, input="hello world"))[0]
    one = client.embeddings.create(model=MODEL, input=tokens)
    several = client.embeddings.create(model=MODEL, input=[tokens, [101, 102]])

    assert vectors_of(one)[0] @ text == pytest.approx(1, abs=1e-4)
    assert one.usage.prompt_tokens == 4
    assert vectors_of(several)[0] @ text == pytest.approx(1, abs=1e-4)
    assert several.usage.prompt_tokens == 6


def test_an_input_is_embedded_the_same_alone_and_among_others(client: openai.OpenAI) -> None:
    texts = [f"sentence number {number} " + "and more " * number for number in range(20)]
    together = vectors_of(client.embeddings.create(model=MODEL, input=texts))

    assert together.shape == (20, DIMENSIONS)
    for number in (0, 7, 19):
        alone = vectors_of(client.embeddings.create(model=MODEL, input=texts[number]))[0]
        assert alone @ together[number] > 0.999


def test_likeness(client: openai.OpenAI) -> None:
    texts = ["The cat sat on the mat.", "A kitten rests on a rug.", "Interest rates rose by half a percent."]
    cat, kitten, rates = vectors_of(client.embeddings.create(model=MODEL, input=texts))

    assert cat @ kitten > 0.4
    assert cat @ kitten > cat @ rates + 0.3


def test_too_many_dimensions_or_too_long(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="at most 384"):
        client.embeddings.create(model=MODEL, input="a text", dimensions=385)
    with pytest.raises(openai.BadRequestError, match=r"input 1 has 6\d\d tokens and the model takes 512"):
        client.embeddings.create(model=MODEL, input=["a text", "word " * 600])
