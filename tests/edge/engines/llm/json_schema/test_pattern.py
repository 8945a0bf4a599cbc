import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.engines.llm.json_schema.pattern import PatternError, read_pattern
from edge.engines.llm.json_schema.probe import Probe

TEXTS = [
    "",
    "a",
    "b",
    "ab",
    "abc",
    "xabx",
    "a\n",
    "\n",
    "a.b",
    "a-b",
    "12",
    "a1",
    "٣",
    "é",
    "_",
    "A",
    " ",
    "\u00a0",
    "]",
    '"',
    "\\",
    "/",
    "\u2028",
    "\x1c",
    "\ufeff",
    "😀",
    "{",
    "aaaa",
    "\x00",
    "\x7f",
]
COMMON = [
    "",
    "a",
    "^a",
    "a$",
    "^a$",
    "^a|b$",
    "^(a|b)$",
    "(^a|b)c?",
    "a*",
    "^a+$",
    "^a{2,3}$",
    "^a{2}$",
    "^a{2,}$",
    "^a?$",
    "^[abc]$",
    "^[^a]$",
    "^[a-c]+$",
    "^[-a]$",
    "^[a-]$",
    "^.$",
    "^.*$",
    "\\.",
    "^a\\.b$",
    "^\\d+$",
    "^\\D$",
    "^\\w+$",
    "^\\W$",
    "^\\s$",
    "^\\S+$",
    "[\\d\\s]",
    "^[^\\w\\s]$",
    "^\\x61$",
    "^\\u0061$",
    "^\\n$",
    "^[\\n]$",
    "^\\/$",
    "^/$",
    '^"$',
    "^\\\\$",
    "^\\[\\]]?$",
    "a+?",
    "^(?:ab)+c?$",
    "^\\0$",
    "^\\{$",
    "^(?:(?:a|b)|c)$",
    "]",
    "^\\-?a$",
    "()",
    "a||b",
]


@pytest.mark.parametrize("pattern", COMMON)
def test_inner_texts_match_and_outer_ones_may(pattern: str) -> None:
    read, probe = read_pattern(pattern), Probe()
    for text in TEXTS:
        found = re.search(pattern, text) is not None
        if probe.certainly(read, text):
            assert found, text
        if found:
            assert probe(read, text), text


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        ("^\\D$", "é"),
        ("^\\W$", "-"),
        ("^\\w$", "z"),
        ("^.$", "😀"),
        ("^[^a]$", '"'),
        ("^\\S$", "é"),
        ("x", "axb\n"),
    ],
)
def test_inner_is_not_smaller_than_it_must_be(pattern: str, text: str) -> None:
    assert Probe().certainly(read_pattern(pattern), text)


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        ("^\\d$", "٣"),
        ("^a$", "a\n"),
        ("^.$", "\u2028"),
        ("^\\s$", "\x1c"),
        ("^\\s$", "\ufeff"),
        ("^\\w$", "é"),
    ],
)
def test_where_dialects_disagree_a_text_is_outer_only(pattern: str, text: str) -> None:
    read, probe = read_pattern(pattern), Probe()
    assert probe(read, text)
    assert not probe.certainly(read, text)


@pytest.mark.parametrize(
    "pattern",
    [
        "(?=a)",
        "(?!a)",
        "(?<=a)",
        "(?<!a)",
        "(?i)a",
        "(?P<n>a)",
        "(a)\\1",
        "\\k<n>",
        "\\ba",
        "\\Ba",
        "\\p{L}",
        "\\Aa",
        "a\\Z",
        "\\u{61}",
        "\\cA",
        "\\01",
        "a{",
        "a{,3}",
        "a{3,2}",
        "a{1000000}",
        "a**",
        "a+++",
        "*a",
        "^*",
        "(^a)*",
        "a^b",
        "a$b",
        "[",
        "[]",
        "[^]",
        "[a",
        "[b-a]",
        "[\\d-z]",
        "[a-\\d]",
        "(",
        ")",
        "(a",
        "a)",
        "\\",
        "\\ud800",
        "\\x6",
        "\\u12",
        "(?",
        "(?:",
        "\U00040000",
        "(" * 100 + ")" * 100,
        "a" * 5000,
        "(a|^b)" * 12,
    ],
)
def test_refused(pattern: str) -> None:
    with pytest.raises(PatternError) as refused:
        read_pattern(pattern)
    assert str(refused.value)


@settings(max_examples=300, deadline=None)
@given(
    st.text(st.sampled_from('ab01^$|()[]{}*+?.\\-,dwsDWSnxu:<=!é"/ '), max_size=14), st.sampled_from(TEXTS)
)
def test_any_text_is_read_or_refused(pattern: str, text: str) -> None:
    try:
        read = read_pattern(pattern)
    except PatternError:
        return
    probe = Probe()
    inner, outer = probe.certainly(read, text), probe(read, text)
    assert outer or not inner
    try:
        expected = re.search(pattern, text) is not None
    except (re.error, FutureWarning):
        return
    assert expected or not inner
    assert outer or not expected


def test_a_pattern_that_ruins_backtracking_is_matched_at_once() -> None:
    started = time.perf_counter()
    assert not Probe()(read_pattern("^(a+)+$"), "a" * 5000 + "b")
    assert time.perf_counter() - started < 5
