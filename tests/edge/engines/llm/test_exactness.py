"""With the types that keys and values are kept in, what follows a prompt hangs on nothing but the prompt."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pytest

from edge.engines.llama import Batch, Context, Model
from edge.engines.llm.candidates import Floats
from edge.engines.llm.options import KV_TYPES, WIDE_KV_TYPES, LlmOptions
from tests.models import pulled

STORY = "There was once a king who had three daughters, and a castle by the sea. " * 6
"""Longer than the 63 tokens up to which ggml attends to keys and values of 16 bits one by one."""

STEPS = 3
"""Tokens that are read one by one after the prompt, as if they had been drawn."""

OTHERS = (3, 41, 90, 7, 150)
"""How many tokens the prompts of other sequences have."""

SLOT = 2
"""Where the prompt is read: there are other sequences before and after it."""

Plan = Sequence[Mapping[int, Sequence[int]]]
"""The tokens of each sequence in each step."""


@pytest.fixture(scope="module")
def model() -> Model:
    return Model(pulled("smollm2-135m-instruct")[1]["model"])


@pytest.fixture(scope="module", params=[KV_TYPES, WIDE_KV_TYPES], ids=["narrow", "wide"])
def context(model: Model, request: pytest.FixtureRequest) -> Iterator[Context]:
    params = LlmOptions.of(model, {"context_tokens": 256, "threads": 1, "slots": len(OTHERS) + 1}).params()
    params.type_k, params.type_v = request.param
    made = Context(model, params)
    yield made
    made.close()


@pytest.fixture(scope="module")
def tokens(model: Model) -> list[int]:
    return model.tokenize(STORY, add_special=False, parse_special=False)


@pytest.fixture(scope="module")
def alone(context: Context, tokens: list[int]) -> Floats:
    return logits_of(context, [{0: part} for part in chunked(tokens, len(tokens))], slot=0)


def chunked(tokens: Sequence[int], size: int) -> list[Sequence[int]]:
    """Return *tokens* in chunks of *size*, the last STEPS one by one."""
    prompt = tokens[:-STEPS]
    return [prompt[at : at + size] for at in range(0, len(prompt), size)] + [[t] for t in tokens[-STEPS:]]


def logits_of(context: Context, plan: Plan, *, slot: int) -> Floats:
    """Return the logits after the prompt in *slot* and after each step behind it."""
    context.clear()
    batch = Batch(context.batch_size)
    read: Counter[int] = Counter()
    found = []
    for step in plan:
        batch.clear()
        for sequence in sorted(step):
            batch.add(step[sequence], position=read[sequence], sequence=sequence, output="last")
            read[sequence] += len(step[sequence])
        context.decode(batch.native)
        if slot in step:
            found.append(context.logits(len(step))[sorted(step).index(slot)].copy())
    return np.stack(found[-STEPS - 1 :])


def crowded(parts: Sequence[Sequence[int]]) -> Plan:
    """Return a plan in which other sequences go beside *parts*: some read prompts, others a token each."""
    others = [number for number in range(len(OTHERS) + 1) if number != SLOT]
    plan = []
    for number, part in enumerate(parts):
        step: dict[int, Sequence[int]] = {SLOT: part}
        for other, length in zip(others, OTHERS, strict=True):
            count = length if number == other % 2 else 1
            step[other] = [(7919 * at + 31 * other + number) % 49_000 for at in range(count)]
        plan.append(step)
    return plan


@pytest.mark.parametrize("size", [13, 40, 64])
def test_chunks_of_other_sizes_change_no_bit(
    context: Context, tokens: list[int], alone: Floats, size: int
) -> None:
    plan = [{SLOT: part} for part in chunked(tokens, size)]
    assert np.array_equal(logits_of(context, plan, slot=SLOT), alone)


def test_other_sequences_change_no_bit(context: Context, tokens: list[int], alone: Floats) -> None:
    assert np.array_equal(logits_of(context, crowded(chunked(tokens, 40)), slot=SLOT), alone)


def test_other_threads_change_no_bit(context: Context, tokens: list[int], alone: Floats) -> None:
    context.set_threads(2, 2)
    try:
        assert np.array_equal(logits_of(context, crowded(chunked(tokens, 64)), slot=SLOT), alone)
    finally:
        context.set_threads(1, 1)
