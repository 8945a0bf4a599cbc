import json
import re
import sys

from hypothesis import given
from hypothesis import strategies as st

from edge.engines.llm.json_schema import characters as ch

RANGES = st.lists(
    st.tuples(st.integers(0, 300), st.integers(0, 40)).map(lambda pair: (pair[0], sum(pair))), max_size=6
)


def members(ranges: ch.Ranges) -> set[int]:
    return {code for low, high in ranges for code in range(low, min(high, 400) + 1)}


@given(RANGES, RANGES)
def test_sets(first: list[tuple[int, int]], second: list[tuple[int, int]]) -> None:
    a, b = ch.union(tuple(first)), ch.union(tuple(second))
    assert members(ch.union(a, b)) == members(a) | members(b)
    assert members(ch.intersection(a, b)) == members(a) & members(b)
    assert members(ch.complement(a)) == set(range(401)) - members(a)
    assert ch.complement(ch.complement(a)) == a


def test_no_set_holds_a_surrogate() -> None:
    assert ch.complement(()) == ch.EVERY
    assert all(not low <= 0xD800 <= high for low, high in ch.EVERY)


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_the_one_spelling_is_json(text: str) -> None:
    spelt = ch.quoted(text)
    assert json.loads(spelt) == text
    assert not re.search(r"[\x00-\x1f\x7f]", spelt)


def test_possible_digits_and_words_hold_what_python_takes_for_them() -> None:
    def outside(ranges: ch.Ranges, pattern: str) -> list[int]:
        rest = ((code, chr(code)) for low, high in ch.complement(ranges) for code in range(low, high + 1))
        return [code for code, character in rest if re.match(pattern, character)]

    assert outside(ch.POSSIBLE_DIGITS, r"\d") == []
    assert outside(ch.POSSIBLE_WORDS, r"\w") == []
    assert ch.EVERY[-1][1] == sys.maxunicode
