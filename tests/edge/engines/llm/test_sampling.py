from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.engines.llm.candidates import Floats
from edge.engines.llm.constraint import Constraint
from edge.engines.llm.sampling import Sampler
from edge.workers.messages import Generate
from tests.edge.engines.llm.rows import VOCABULARY, normal, rows

GRID = 100


class Fixed:
    """A generator whose only number is *number*."""

    def __init__(self, number: float) -> None:
        self._number = number

    def random(self) -> float:
        return self._number


class Only:
    """A constraint to the tokens *allowed*."""

    def __init__(self, allowed: Iterable[int]) -> None:
        self._allowed = frozenset(allowed)
        self.advanced: list[int] = []
        self.masks = 0

    def allows(self, token: int) -> bool:
        return token in self._allowed

    def apply(self, logits: Floats) -> None:
        self.masks += 1
        refused = [token for token in range(len(logits)) if token not in self._allowed]
        logits[refused] = -np.inf

    def advance(self, token: int) -> None:
        assert token in self._allowed
        self.advanced.append(token)


def sampler(
    size: int,
    *,
    prompt: Sequence[int] = (),
    drawn: Iterable[int] = (),
    only: Only | None = None,
    **fields: Any,
) -> Sampler:
    constraint = cast("Constraint | None", only)
    made = Sampler(Generate(**fields), prompt, vocab_size=size, constraint=constraint)
    for token in drawn:
        made.take(token)
    return made


def drawn_with(number: float, logits: Floats, **options: Any) -> int:
    """Return what is drawn where the generator gives *number*."""
    made = sampler(len(logits), **options)
    made._random = cast("np.random.Generator", Fixed(number))
    return made.draw(logits.copy())


def softmax(values: Sequence[float]) -> list[float]:
    weights = np.exp(np.array(values, np.float64) - max(values))
    return list(weights / weights.sum())


def probabilities(
    logits: Floats,
    *,
    prompt: Sequence[int] = (),
    drawn: Sequence[int] = (),
    allowed: Sequence[int] | None = None,
    **fields: Any,
) -> dict[int, float]:
    """The slow way: what each token's chance is, by the definitions of the request's fields."""
    request = Generate(**fields)
    scores = [np.float32(value) for value in logits]
    for token, bias in request.logit_bias:
        if 0 <= token < len(scores):
            scores[token] += np.float32(bias)
    repeated = np.float32(request.repetition_penalty)
    for token in {*prompt, *drawn}:
        scores[token] = scores[token] / repeated if scores[token] > 0 else scores[token] * repeated
    for token, count in Counter(drawn).items():
        scores[token] -= np.float32(count) * np.float32(request.frequency_penalty) + np.float32(
            request.presence_penalty
        )
    order = sorted(range(len(scores)), key=lambda token: -scores[token])
    if allowed is not None:
        order = [token for token in order if token in allowed]
    if request.top_k:
        order = order[: request.top_k]
    if request.top_p < 1:
        weights = [np.exp(np.float64(scores[token] - scores[order[0]])) for token in order]
        mass, kept = 0.0, 0
        while kept == 0 or mass < request.top_p * sum(weights):
            mass += weights[kept]
            kept += 1
        order = order[:kept]
    if request.min_p:
        chances = softmax([float(scores[token]) for token in order])
        order = [t for t, chance in zip(order, chances, strict=True) if chance >= request.min_p * chances[0]]
    if request.temperature == 0:
        return {order[0]: 1.0}
    chances = softmax([float(scores[token]) / request.temperature for token in order])
    return dict(zip(order, chances, strict=True))


@st.composite
def situations(draw: st.DrawFn) -> tuple[Floats, dict[str, Any]]:
    """A row of logits, ties among them, with a prompt, what was drawn, and the fields of a request."""
    logits = draw(rows)
    tokens = st.integers(0, len(logits) - 1)
    return logits, {
        "prompt": draw(st.lists(tokens, max_size=4)),
        "drawn": draw(st.lists(tokens, max_size=4)),
        "temperature": draw(st.sampled_from([0, 0.25, 1.0, 2.0])),
        "top_k": draw(st.integers(0, 14)),
        "top_p": draw(st.sampled_from([0.0, 0.1, 0.3, 0.5, 0.8, 0.95, 1.0])),
        "min_p": draw(st.sampled_from([0.0, 0.01, 0.1, 0.4, 1.0])),
        "frequency_penalty": draw(st.sampled_from([0.0, -2.0, 0.5])),
        "presence_penalty": draw(st.sampled_from([0.0, -1.0, 1.5])),
        "repetition_penalty": draw(st.sampled_from([1.0, 0.5, 2.0])),
        "logit_bias": draw(
            st.dictionaries(st.integers(-1, len(logits)), st.sampled_from([-100.0, -1.5, 4.0]), max_size=3)
        ).items(),
    }


@settings(deadline=None)
@given(situations())
def test_every_token_is_drawn_with_its_chance(situation: tuple[Floats, dict[str, Any]]) -> None:
    logits, options = situation
    expected = probabilities(logits, **options)
    # Numbers at equal distances hit a token as often as it is likely, give or take one.
    counts = Counter(drawn_with((number + 0.5) / GRID, logits, **options) for number in range(GRID))
    assert counts.keys() <= expected.keys()
    for token, chance in expected.items():
        assert abs(counts[token] - chance * GRID) <= 1 + 1e-6


@settings(deadline=None)
@given(situations(), st.sets(st.integers(0, 11), min_size=1))
def test_what_is_masked_is_never_drawn(situation: tuple[Floats, dict[str, Any]], masked: set[int]) -> None:
    logits, options = situation
    left = [token for token in range(len(logits)) if token not in masked]
    logits[[token for token in masked if token < len(logits)]] = -np.inf
    for number in (0.0, 0.3, 1 - 2**-53):
        if left:
            assert drawn_with(number, logits, **options) in left
        else:
            with pytest.raises(ValueError, match="no token"):
                drawn_with(number, logits, **options)


@settings(deadline=None)
@given(situations(), st.sets(st.integers(0, 11), min_size=1))
def test_the_likeliest_token_that_fits_is_the_greedy_answer(
    situation: tuple[Floats, dict[str, Any]], allowed: set[int]
) -> None:
    logits, options = situation
    options |= {"temperature": 0, "drawn": []}
    fitting = [token for token in allowed if token < len(logits)]
    only = Only(fitting)
    if fitting:
        assert {drawn_with(0.5, logits, only=only, **options): 1.0} == probabilities(
            logits, allowed=fitting, **options
        )
    else:
        with pytest.raises(ValueError, match="no token"):
            drawn_with(0.5, logits, only=only, **options)


def chi_square(logits: Floats, expected: dict[int, float], only: Only | None = None, **fields: Any) -> float:
    """Return the statistic of 20,000 draws over its mean, in its standard deviations."""
    draws = 20_000
    made = sampler(len(logits), only=only, seed=7, **fields)
    counts = Counter(made.draw(logits.copy()) for _ in range(draws))
    assert counts.keys() <= expected.keys()
    frequent = {token: chance * draws for token, chance in expected.items() if chance * draws >= 5}
    statistic = sum((counts[token] - mean) ** 2 / mean for token, mean in frequent.items())
    freedom = len(frequent) - 1
    assert freedom > 0
    return float((statistic - freedom) / np.sqrt(2 * freedom))


@pytest.mark.parametrize(
    "fields", [{}, {"temperature": 0.5}, {"temperature": 2.0, "top_k": 9}, {"top_p": 0.8}, {"min_p": 0.02}]
)
def test_many_draws_follow_the_softmax(fields: dict[str, Any]) -> None:
    logits = normal(40)
    expected = probabilities(logits, **fields)
    assert chi_square(logits, expected, **fields) < 4
    wrong = probabilities(logits, **fields | {"temperature": fields.get("temperature", 1.0) * 1.1})
    assert chi_square(logits, wrong, **fields) > 4


def test_a_constraint_leaves_what_fits_with_its_share() -> None:
    logits = normal(40)
    allowed = [*range(3, 30, 2)]
    only = Only(allowed)
    assert chi_square(logits, probabilities(logits, allowed=allowed), only) < 4
    assert 0 < only.masks < len(only.advanced) == 20_000


def test_a_constraint_with_a_nucleus_keeps_what_fits_of_the_first_draw() -> None:
    logits = normal(40)
    allowed = [*range(0, 30, 2)]
    first = probabilities(logits, top_k=8)
    second = probabilities(logits, top_k=8, allowed=allowed)
    refused = 1 - sum(chance for token, chance in first.items() if token in allowed)
    assert 0.1 < refused < 0.9
    expected = {token: first.get(token, 0) + refused * chance for token, chance in second.items()}
    assert chi_square(logits, expected, Only(allowed), top_k=8) < 4


def test_a_mask_is_made_only_for_a_token_that_does_not_fit() -> None:
    logits = np.array([3, 2, 1], np.float32)
    only = Only([0, 2])
    made = sampler(3, only=only, temperature=0.0)
    assert made.draw(logits.copy()) == 0
    assert only.masks == 0
    assert made.draw(np.array([1, 3, 2], np.float32)) == 2
    assert only.masks == 1
    assert only.advanced == [0, 2]
    assert made.fits(2)
    assert not made.fits(1)


@pytest.mark.parametrize("seed", [0, 7, -1, 2**31 - 1, 2**80])
def test_a_seed_gives_the_same_tokens(seed: int) -> None:
    logits = normal(500)

    def tokens(seed: int | None) -> list[int]:
        made = sampler(500, seed=seed, frequency_penalty=0.5)
        return [made.draw(logits.copy()) for _ in range(20)]

    assert tokens(seed) == tokens(seed)
    assert tokens(seed) != tokens(seed + 1)
    assert tokens(None) != tokens(None)


def test_one_number_is_used_for_each_draw() -> None:
    logits = normal(500)
    random = np.random.Generator(np.random.PCG64(11))
    made = sampler(500, seed=11)
    expected = [drawn_with(random.random(), logits) for _ in range(10)]
    assert [made.draw(logits.copy()) for _ in range(10)] == expected


# Penalties


def test_frequency_and_presence_look_at_drawn_tokens_alone() -> None:
    logits = np.array([2, 1.5, 0], np.float32)
    for penalty in ("frequency_penalty", "presence_penalty"):
        assert drawn_with(0.5, logits, temperature=0, prompt=[0, 0, 0], **{penalty: 2.0}) == 0
        assert drawn_with(0.5, logits, temperature=0, drawn=[0], **{penalty: 2.0}) == 1


def test_frequency_counts_and_presence_does_not() -> None:
    logits = np.array([3, 1.5, 0], np.float32)
    drawn = [0, 0, 0, 0]
    assert drawn_with(0.5, logits, temperature=0, drawn=drawn, frequency_penalty=0.5) == 1
    assert drawn_with(0.5, logits, temperature=0, drawn=drawn, presence_penalty=0.5) == 0


def test_repetition_looks_at_the_prompt_too() -> None:
    logits = np.array([2, 1.5, -3], np.float32)
    assert drawn_with(0.5, logits, temperature=0, prompt=[0], repetition_penalty=2.0) == 1
    assert drawn_with(0.5, logits, temperature=0, drawn=[0], repetition_penalty=2.0) == 1
    made = sampler(
        3, prompt=[2, 10**6, -5], repetition_penalty=2.0, temperature=0.0
    )  # -5 is part of an image
    row = logits.copy()
    made.draw(row)
    assert row.tolist() == [2, 1.5, -6]


@pytest.mark.parametrize(
    ("fields", "logits"),
    [
        ({"temperature": 1.0}, [1.0, 0.9, 0.8]),
        ({"temperature": 0.0, "logit_bias": [(1, 1.0)]}, [1.0, 0.9, 0.8]),
        ({"temperature": 0.0, "frequency_penalty": 1.0}, [1.0, 0.9, 0.8]),
        ({"temperature": 0.0, "presence_penalty": 1.0}, [1.0, 0.9, 0.8]),
        ({"temperature": 0.0, "repetition_penalty": 2.0}, [1.0, 0.9, 0.8]),
    ],
)
def test_a_sampler_is_not_plain_where_the_likeliest_token_need_not_be_the_answer(
    fields: dict[str, Any], logits: list[float]
) -> None:
    made = sampler(3, seed=3, **fields)
    assert not made.plain
    assert len({made.draw(np.array(logits, np.float32)) for _ in range(9)}) > 1 or fields.get("logit_bias")


@given(
    rows,
    st.lists(st.integers(0, 11), max_size=5),
    st.fixed_dictionaries(
        {
            "temperature": st.sampled_from([0.0, 1e-5]),
            "top_k": st.integers(0, 3),
            "top_p": st.sampled_from([0.0, 0.5, 1.0]),
            "min_p": st.sampled_from([0.0, 0.5, 1.0]),
            "logit_bias": st.sampled_from([[], [(-1, 5.0)], [(12, 5.0)], [(10**9, 5.0)]]),
        }
    ),
)
def test_a_plain_sampler_takes_the_likeliest_token(
    logits: Floats, history: list[int], fields: dict[str, Any]
) -> None:
    tokens = [token for token in history if token < len(logits)]
    made = sampler(12, prompt=tokens, drawn=tokens, **fields)
    assert made.plain
    assert made.draw(logits.copy()) == int(logits.argmax())


# Ends


@pytest.mark.parametrize(
    "fields", [{}, {"top_k": 50}, {"top_p": 0.999999}, {"min_p": 1e-300}, {"temperature": 1e-3}]
)
def test_the_ends_of_the_number_line_are_tokens_that_can_come(fields: dict[str, Any]) -> None:
    for size in (1, 2, 4, 1000, VOCABULARY):
        logits = normal(size, spread=5.0)
        if size > 2:
            logits[[0, -1]] = -np.inf
            logits[-2] = -1000.0  # its chance is nil
        for number in (0.0, 1 - 2**-53):
            token = drawn_with(number, logits, **fields)
            assert logits[token] > -1000


@pytest.mark.parametrize("fields", [{"temperature": 0.0}, {}, {"top_k": 2}, {"top_p": 0.5}, {"min_p": 0.5}])
@pytest.mark.parametrize("value", [-np.inf, np.nan])
def test_a_row_without_any_chance_is_an_error(fields: dict[str, Any], value: float) -> None:
    with pytest.raises(ValueError, match="no token"):
        drawn_with(0.5, np.full(5, value, np.float32), **fields)
