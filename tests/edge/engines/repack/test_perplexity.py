from itertools import pairwise

import llama_cpp as c
import numpy as np
import pytest

from edge.engines.llama import Batch, Context, LlamaError, Model
from edge.engines.repack import perplexity as module
from edge.engines.repack.perplexity import READ, WINDOW, WINDOWS, Reader, beyond, compare, perplexity, text


def test_the_text_is_long_enough_for_every_window_of_the_default_model() -> None:
    assert len(text()) == 22_251
    assert text().startswith("CHAPTER I\n\nDown the Rabbit-Hole\n\nAlice was beginning to get very tired")
    assert len(text()) / 5 > WINDOWS * WINDOW


def test_perplexity_is_the_inverse_of_the_mean_likelihood() -> None:
    assert perplexity(np.log(np.array([0.5, 0.125]))) == pytest.approx(4)
    assert perplexity(np.log(np.full(3, 0.1))) == pytest.approx(10)


@pytest.mark.parametrize(
    ("loss", "spread", "count", "expected"),
    [(0.2, 0.5, 400, True), (0.2, 0.5, 50, False), (0.01, 0.1, 2000, False), (-0.1, 0.1, 2000, False)],
)
def test_reading_ends_once_the_limit_is_surely_passed(
    loss: float, spread: float, count: int, expected: bool
) -> None:
    losses = loss + spread * np.array([-1.0, 1.0] * (count // 2))
    assert beyond(losses, 1.02) is expected


def test_likelihoods_are_those_of_reading_token_by_token(model: Model) -> None:
    reader = Reader(model, threads=1)
    assert len(reader.windows) == WINDOWS
    found = reader.likelihoods(1)
    assert found.shape == (WINDOW - READ - 1,)
    assert (found < 0).all()

    window = reader.windows[1]
    assert bytes(token - 1 for token in window).decode() == text()[WINDOW : 2 * WINDOW]
    params = c.llama_context_default_params()
    params.n_ctx = WINDOW
    context, batch = Context(model, params), Batch(READ + 1)
    expected = []
    for position, (token, following) in enumerate(pairwise(window)):
        batch.clear()
        batch.add([token], position=position, sequence=0, output="last")
        context.decode(batch.native)
        logits = context.logits(1)[0].astype(np.float64)
        if position >= READ:
            expected.append(logits[following] - np.log(np.exp(logits).sum()))
    assert found == pytest.approx(np.array(expected), abs=2e-2)
    context.close()
    reader.close()


def test_a_model_is_as_good_as_itself_and_is_read_only_once(
    model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader, other = Reader(model, threads=1), Reader(model, threads=1)
    assert reader.settle_threads((1,)) == 1
    decoded = []
    decode = Context.decode

    def counted(self: Context, batch: c.llama_batch) -> None:
        decoded.append(self)
        decode(self, batch)

    monkeypatch.setattr(Context, "decode", counted)
    before, after, ratio = compare(reader, other, limit=1.02)
    assert before == pytest.approx(after)
    assert ratio == pytest.approx(1)
    assert len(decoded) == 2 * WINDOWS - 1
    compare(reader, other, limit=1.02)
    assert len(decoded) == 2 * WINDOWS - 1
    reader.close()
    other.close()


def test_a_far_worse_model_is_given_up_early(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    reader, other = Reader(model, threads=1), Reader(model, threads=1)
    read: list[int] = []

    def worse(window: int) -> module.Floats:
        read.append(window)
        return reader.likelihoods(window) - 0.5

    monkeypatch.setattr(other, "likelihoods", worse)
    _, _, ratio = compare(reader, other, limit=1.02)
    assert ratio == pytest.approx(np.exp(0.5))
    assert read == [0, 1]
    reader.close()
    other.close()


def test_a_text_too_short_is_an_error(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "text", lambda: "Alice")
    with pytest.raises(LlamaError, match="too short"):
        Reader(model, threads=1)
