from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from llguidance import LLMatcher

from edge.engines.llm.json_schema import numbers
from edge.engines.llm.json_schema.alternatives import Number
from edge.engines.llm.json_schema.probe import _END, _tokenizer

BOUNDS = st.none() | st.integers(-1200, 1200).map(Fraction) | st.decimals(-30, 30, places=3).map(Fraction)


class Matcher:
    def __init__(self, terminal: str) -> None:
        self._matcher = LLMatcher(
            _tokenizer(), LLMatcher.grammar_from_lark(f"start: T\nT: {terminal}"), log_level=0
        )
        assert not self._matcher.is_error(), self._matcher.get_error()

    def __call__(self, text: str) -> bool:
        said = [*text.encode(), _END]
        return self._matcher.validate_tokens(said) == len(said)


def inside(of: Number, value: Fraction) -> bool:
    above = of.lower is None or value > of.lower or (value == of.lower and not of.lower_open)
    below = of.upper is None or value < of.upper or (value == of.upper and not of.upper_open)
    whole = not of.integer or value.denominator == 1
    return above and below and whole and (of.multiple is None or value % of.multiple == 0)


@st.composite
def ranges(draw: st.DrawFn) -> Number:
    lower, upper = draw(BOUNDS), draw(BOUNDS)
    assume(lower is None or upper is None or lower <= upper)
    of = Number(draw(st.booleans()), lower, draw(st.booleans()), upper, draw(st.booleans()))
    return replace(
        of, multiple=draw(st.sampled_from([None, None, Fraction(1, 4), Fraction(1, 2), Fraction(1)]))
    )


@settings(max_examples=300, deadline=None)
@given(ranges(), st.lists(st.integers(-1500, 1500) | st.decimals(-40, 40, places=3), min_size=5, max_size=20))
def test_a_range_holds_just_its_numbers(of: Number, tried: list[object]) -> None:
    assume(not numbers.is_empty(of))
    terminal = numbers.terminal(of)
    assert terminal is not None
    matches = Matcher(terminal)
    point = of.lower is not None and of.lower == of.upper
    for number in [*tried, of.lower, of.upper]:
        if number is None:
            continue
        value = Fraction(str(number))
        text = numbers.literal(value)
        assert matches(text) == inside(of, value), (terminal, text)
        bounded = of.lower is not None or of.upper is not None
        if bounded and not point and not of.integer and of.multiple is None and value.denominator == 1:
            assert matches(f"{text}.0") == inside(of, value)


@pytest.mark.parametrize("text", ["-0", "-0.0", "00", "01", "1.", ".5", "+1", "1e5", "", "-", "0x1", "1_0"])
@pytest.mark.parametrize("integer", [True, False])
def test_what_is_no_number_in_a_range(text: str, integer: bool) -> None:
    terminal = numbers.terminal(Number(integer, Fraction(-5), False, Fraction(5000), False))
    assert terminal is not None
    assert not Matcher(terminal)(text)


@pytest.mark.parametrize("text", ["1e999", "1e400", "-1e309", "9" * 400, "1E+500", "1.5e1000"])
def test_no_number_overflows(text: str) -> None:
    assert not Matcher(numbers.FREE)(text)


def test_an_open_bound_cannot_be_reached_by_rounding() -> None:
    terminal = numbers.terminal(
        Number(lower=Fraction(0), lower_open=True, upper=Fraction(1), upper_open=True)
    )
    assert terminal is not None
    matches = Matcher(terminal)
    assert matches("0.99999999999999")
    assert matches("0.00000000000001")
    assert not matches("0." + "9" * 20)
    assert not matches("0." + "0" * 330 + "1")


@pytest.mark.parametrize(
    ("of", "empty"),
    [
        (Number(True, Fraction(3), True, Fraction(4), True), True),
        (Number(False, Fraction(3), True, Fraction(4), True), False),
        (Number(True, Fraction(1), False, Fraction(6), False, Fraction(7)), True),
        (Number(True, Fraction(1), False, Fraction(7), False, Fraction(7)), False),
        (Number(False, Fraction("0.3"), False, Fraction("0.4"), False, Fraction(1, 4)), True),
        (Number(True, Fraction(1, 2), False, None, False, Fraction(1, 2)), False),
    ],
)
def test_emptiness(of: Number, empty: bool) -> None:
    assert numbers.is_empty(of) == empty


def test_a_step_that_is_counted_by_the_library() -> None:
    of = Number(True, Fraction(-10), True, None, False, Fraction(7))
    assert numbers.terminal(of) is None
    assert numbers.embedded(of) == {"type": "integer", "multipleOf": 7, "minimum": -9, "maximum": 10**15 - 1}
