import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from shared.marked_yaml import parse

plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(plain, st.booleans())
def test_written_values_are_read_back(value: object, flow: bool) -> None:
    document = parse(yaml.safe_dump(value, default_flow_style=flow))
    assert document.problems == []
    assert document.value == value


@given(st.text())
def test_any_text_is_a_value_or_a_problem_with_a_line(text: str) -> None:
    document = parse(text)
    for problem in document.problems:
        assert 1 <= problem.line <= len(text.splitlines()) + 1


@pytest.mark.parametrize("text", ["NO", "yes", "on", "Off", "2020-01-01"])
def test_plain_words_and_dates_are_text(text: str) -> None:
    assert parse(f"x: {text}").value == {"x": text}


@pytest.mark.parametrize(
    ("text", "value"), [("true", True), ("False", False), ("~", None), ("7", 7), ("1.5", 1.5)]
)
def test_plain_values_have_their_type(text: str, value: object) -> None:
    assert parse(f"x: {text}").value == {"x": value}


def test_lines_are_those_of_the_text() -> None:
    document = parse("a: 1\nb:\n  - x\n  -\n    c: 2\n")
    assert document.line(("a",)) == 1
    assert document.line(("b",)) == 2
    assert document.line(("b", 0)) == 3
    assert document.line(("b", 1, "c")) == 5
    assert document.line(("b", 1, "missing", "deeper")) == document.line(("b", 1)) == 5
    assert document.line(("nowhere",)) == 1


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        ("a: 1\na: 2", 2, "is a duplicate of the field on line 1"),
        ("a: &x {b: 1}\nc: *x", 2, "is an alias to a list or mapping"),
        ("a: 1\n? [b]\n: 2", 2, "has a field whose name is not text"),
        ("a: 1\nb: !!int x", 2, "cannot be read"),
        ("a: 1\nb: !mine x", 2, "could not determine a constructor"),
        ("a: 1\nb: [", 2, "this is not usable YAML"),
        ("a: 1\nb: \x07", 2, "this is not usable YAML"),
        ("a: 1\n--- x", 2, "this is not usable YAML"),
        ("", 1, "the document is empty"),
    ],
)
def test_problem_has_a_line_and_a_reason(text: str, line: int, reason: str) -> None:
    (problem,) = parse(text).problems
    assert problem.line == line
    assert reason in str(problem)
