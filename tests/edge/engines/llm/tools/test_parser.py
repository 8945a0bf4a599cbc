import json
import re
from collections.abc import Iterable
from dataclasses import replace
from itertools import count, pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.engines.llm.tools.formats import (
    HermesFormat,
    LlamaFormat,
    MistralFormat,
    MistralListFormat,
    ToolFormat,
)
from edge.engines.llm.tools.parser import ToolParser, new_call_id
from edge.workers.messages import Text, ToolCall

NAMES = ["f", "get-it", "now"]
KINDS: list[type[ToolFormat]] = [HermesFormat, LlamaFormat, MistralListFormat, MistralFormat]


def parser(kind: type[ToolFormat], *, parallel: bool = True) -> ToolParser:
    ids = count(1)
    return ToolParser(kind.markup, NAMES, parallel=parallel, new_id=lambda: f"call_{next(ids)}")


def joined(events: Iterable[Text | ToolCall]) -> list[tuple[str, ...]]:
    """Return *events* with neighbouring text joined, and the arguments of each call with its beginning."""
    result: list[tuple[str, ...]] = []
    for event in events:
        if isinstance(event, Text):
            assert event.text
            if result and result[-1][0] == "text":
                result[-1] = ("text", result[-1][1] + event.text)
            else:
                result.append(("text", event.text))
        elif event.id is not None:
            assert event.id == f"call_{event.index + 1}"
            assert event.arguments == ""
            result.append((str(event.name), ""))
        else:
            assert event.arguments
            name, arguments = result[-1]
            result[-1] = (name, arguments + event.arguments)
    return result


def parsed(kind: type[ToolFormat], text: str, *, parallel: bool = True) -> list[tuple[str, ...]]:
    reader = parser(kind, parallel=parallel)
    return joined(reader.feed(text) + reader.finish())


def test_ids_look_like_openais() -> None:
    ids = {new_call_id() for _ in range(100)}
    assert len(ids) == 100
    assert all(re.fullmatch(r"call_[a-zA-Z0-9]{24}", each) for each in ids)


HERMES_CALL = '<tool_call>\n{"name": "f", "arguments": {"a": "<é}\\""}}\n</tool_call>'
F = ("f", '{"a": "<é}\\""}')


@pytest.mark.parametrize(
    ("text", "events"),
    [
        ("", []),
        ("Hello <tool", [("text", "Hello <tool")]),
        (" \n ", [("text", " \n ")]),
        (HERMES_CALL, [F]),
        ("\n" + HERMES_CALL + "\n" + HERMES_CALL + "\n\n", [F, F]),
        ("Well,\n" + HERMES_CALL + "\n then ", [("text", "Well,\n"), F, ("text", "\n then ")]),
        ('<tool_call>{"arguments":{"x":[1]},"name":"now"}</tool_call>', [("now", '{"x":[1]}')]),
        ('<tool_call>{"name":"now"}</tool_call>', [("now", "{}")]),
        ('<tool_call>{"name":"now","arguments":null}</tool_call>', [("now", "{}")]),
        ('<tool_call>{"name":"now","arguments":""}</tool_call>', [("now", "{}")]),
        ('<tool_call>{"name":"now","arguments":"{\\"a\\": 1}"}</tool_call>', [("now", '{"a": 1}')]),
        (
            '<tool_call>{"id": -1.5, "x": [{"}": []}], "name": "now", "parameters": {}}</tool_call>',
            [("now", "{}")],
        ),
        (
            '<tool_call>[{"name": "now"}, {"name": "f", "arguments": {}}]</tool_call>',
            [("now", "{}"), ("f", "{}")],
        ),
        ('<tool_call>\n{"name": "f", "arguments": {"a": 1', [("f", '{"a": 1')]),
        ('<tool_call>\n{"name": "f", "arguments": {"a": 1}', [("f", '{"a": 1}')]),
        ('<tool_call>\n{"name": "f", "arguments": {"a": 1}}\n</tool', [("f", '{"a": 1}')]),
        (
            '<tool_call>\n{"name": "f", "arguments": {"a": 1]} Oh</tool_call> no',
            [("f", '{"a": 1]} Oh'), ("text", " no")],
        ),
        ('<tool_call>\n{"name": "f", "arguments": {"a": 1]</tool', [("f", '{"a": 1]</tool')]),
        ('<tool_call>\n{"name": "f', [("text", '<tool_call>\n{"name": "f')]),
        (
            '<tool_call>{"name": "who", "arguments": {}}</tool_call>',
            [("text", '<tool_call>{"name": "who", "arguments": {}}</tool_call>')],
        ),
        ('<tool_call>{"name": 1}', [("text", '<tool_call>{"name": 1}')]),
        ('<tool_call>{"x": }', [("text", '<tool_call>{"x": }')]),
        ("<tool_call>{}</tool_call>", [("text", "<tool_call>{}</tool_call>")]),
        ("<tool_call>nothing</tool_call>", [("text", "<tool_call>nothing</tool_call>")]),
        ("<tool_call><tool_call>" + HERMES_CALL, [("text", "<tool_call><tool_call>"), F]),
        (
            "<think>as <tool_call> {</think>\n" + HERMES_CALL,
            [("text", "<think>as <tool_call> {</think>\n"), F],
        ),
        ("Hm <think>" + HERMES_CALL, [("text", "Hm <think>"), F]),
        ("<think>" + HERMES_CALL, [("text", "<think>" + HERMES_CALL)]),
    ],
)
def test_hermes(text: str, events: list[tuple[str, ...]]) -> None:
    assert parsed(HermesFormat, text) == events


@pytest.mark.parametrize(
    ("text", "events"),
    [
        ('{"name": "f", "parameters": {"a": 1}}', [("f", '{"a": 1}')]),
        ('\n{"type": "function", "name": "f", "parameters": {}}\n', [("f", "{}")]),
        ('{"function": "f", "arguments": {}}', [("f", "{}")]),
        ('{"name": "f", "parameters": {}}; {"name": "now", "parameters": {}}', [("f", "{}"), ("now", "{}")]),
        ('{"name": "Ann", "parameters": {}}', [("text", '{"name": "Ann", "parameters": {}}')]),
        ('Like {"name": "f", "parameters": {}}', [("text", 'Like {"name": "f", "parameters": {}}')]),
        ('So <|python_tag|>{"name": "f", "parameters": {}}', [("text", "So "), ("f", "{}")]),
        ('<|python_tag|>search("x")', [("text", '<|python_tag|>search("x")')]),
        ("{1, 2}", [("text", "{1, 2}")]),
    ],
)
def test_llama(text: str, events: list[tuple[str, ...]]) -> None:
    assert parsed(LlamaFormat, text) == events


@pytest.mark.parametrize("kind", [MistralListFormat, MistralFormat])
@pytest.mark.parametrize(
    ("text", "events"),
    [
        (
            '[TOOL_CALLS] [{"name": "f", "arguments": {"a": 1}, "id": "x"}, {"name": "now"}] ',
            [("f", '{"a": 1}'), ("now", "{}")],
        ),
        ('[TOOL_CALLS]{"name": "f", "arguments": {}}', [("f", "{}")]),
        (
            'A[TOOL_CALLS]f[ARGS]{"a": "]"}[TOOL_CALLS]now[CALL_ID]a1[ARGS]{} B',
            [("text", "A"), ("f", '{"a": "]"}'), ("now", "{}"), ("text", " B")],
        ),
        ('[TOOL_CALLS]get-it {"a": {}}', [("get-it", '{"a": {}}')]),
        ("[TOOL_CALLS]who[ARGS]{}", [("text", "[TOOL_CALLS]who[ARGS]{}")]),
        ("[TOOL_CALLS]f[ARGS", [("text", "[TOOL_CALLS]f[ARGS")]),
        ("[TOOL_CALLS]f says: {}", [("text", "[TOOL_CALLS]f says: {}")]),
        ("[TOOL_CALLS]" + "f" * 300 + "{}", [("text", "[TOOL_CALLS]" + "f" * 300 + "{}")]),
        ("[TOOL_CALLS]f[ARGS]{]}[TOOL_CALLS]now{}", [("f", "{]}"), ("now", "{}")]),
        ("[TOOL [TOOL_CALLS", [("text", "[TOOL [TOOL_CALLS")]),
    ],
)
def test_mistral(kind: type[ToolFormat], text: str, events: list[tuple[str, ...]]) -> None:
    assert parsed(kind, text) == events


def test_a_call_is_told_as_it_is_made() -> None:
    reader = parser(HermesFormat)
    told = [
        reader.feed(piece)
        for piece in (
            "Hi <",
            "tool_call>\n",
            '{"name": "f',
            '", "argum',
            'ents": ',
            '{"a',
            '": 1',
            "}",
            "}\n</tool",
            "_call>",
        )
    ]
    assert told == [
        [Text("Hi ")],
        [],
        [],
        [ToolCall(0, id="call_1", name="f")],
        [],
        [ToolCall(0, arguments='{"a')],
        [ToolCall(0, arguments='": 1')],
        [ToolCall(0, arguments="}")],
        [],
        [],
    ]
    assert reader.called
    assert not reader.complete
    assert reader.finish() == []


def test_without_parallel_calls_an_answer_is_complete_with_its_first() -> None:
    reader = parser(HermesFormat, parallel=False)
    start, end = HERMES_CALL[:-15], HERMES_CALL[-15:]
    events = reader.feed("So: " + start)
    assert reader.called
    assert not reader.complete
    events += reader.feed(end + HERMES_CALL)
    assert reader.complete
    assert joined(events + reader.finish()) == [("text", "So: "), F]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
CALL = st.tuples(st.sampled_from(NAMES), st.dictionaries(st.text(max_size=4), JSON, max_size=3))
PROSE = st.text(st.sampled_from(list('ab {}[]"\\\n<>|/é')) | st.characters(codec="utf-8"), max_size=20)
SCRAPS = st.sampled_from(
    (
        *("<tool_call>", "</tool_call>", "[TOOL_CALLS]", "[ARGS]", "<think>", "</think>", "<|python_tag|>"),
        *('{"name": "f"', '"arguments": {', "}", "}}", ",", "[", "]", "\n", " ", "f", ";", '"a"'),
        '{"name": "f", "parameters": {"a": 1}}',
    )
)


def written(kind: type[ToolFormat], calls: list[tuple[str, Any]], *, ascii_only: bool) -> str:
    def dump(value: Any) -> str:
        return json.dumps(value, ensure_ascii=ascii_only)

    if kind is HermesFormat:
        return "\n".join(
            f"<tool_call>\n{dump({'name': name, 'arguments': arguments})}\n</tool_call>"
            for name, arguments in calls
        )
    if kind is LlamaFormat:
        return "; ".join(dump({"name": name, "parameters": arguments}) for name, arguments in calls)
    if kind is MistralFormat:
        return "".join(f"[TOOL_CALLS]{name}[ARGS]{dump(arguments)}" for name, arguments in calls)
    return "[TOOL_CALLS]" + dump([{"name": name, "arguments": arguments} for name, arguments in calls])


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
def test_calls_come_back_whole_and_the_text_around_them_unchanged(
    kind: type[ToolFormat], data: st.DataObject
) -> None:
    calls = data.draw(st.lists(CALL, min_size=1, max_size=3))
    markers = ("<tool_call>", "<think>", "[TOOL_CALLS]", "<|python_tag|>")
    prose = PROSE.filter(lambda text: not any(marker in text for marker in markers))
    before = "" if kind is LlamaFormat else data.draw(prose)
    after = data.draw(prose.filter(lambda text: not re.match(r"\s*[,\];{]", text)))
    text = before + written(kind, calls, ascii_only=data.draw(st.booleans())) + after
    events = parsed(kind, text)
    blank = " \t\r\n;" if kind is LlamaFormat else " \t\r\n"
    expected_text = [
        piece for piece in (before.strip(" \t\r\n") and before, after.strip(blank) and after) if piece
    ]
    assert [event[1] for event in events if event[0] == "text"] == expected_text
    assert [(name, json.loads(rest)) for name, rest in events if name != "text"] == calls


@pytest.mark.parametrize("kind", KINDS)
@given(pieces=st.lists(SCRAPS | PROSE, max_size=14), cuts=st.lists(st.integers(0, 200), max_size=12))
def test_it_does_not_matter_how_the_text_arrives(
    kind: type[ToolFormat], pieces: list[str], cuts: list[int]
) -> None:
    text = "".join(pieces)
    whole, split = parser(kind), parser(kind)
    expected = joined(whole.feed(text) + whole.finish())
    edges = [0, *sorted(cut for cut in cuts if cut < len(text)), len(text)]
    events: list[Text | ToolCall] = []
    for start, end in pairwise(edges):
        events += split.feed(text[start:end])
    assert joined(events + split.finish()) == expected
    assert split.called == whole.called == any(name != "text" for name, *_ in expected)


@pytest.mark.parametrize("kind", KINDS)
@given(pieces=st.lists(SCRAPS | PROSE, max_size=14))
def test_no_text_is_lost(kind: type[ToolFormat], pieces: list[str]) -> None:
    text = "".join(pieces)
    events = parsed(kind, text)
    if all(name == "text" for name, *_ in events):
        assert "".join(told for _, told in events) == text
    position = 0
    for name, told in events:
        if name == "text" or told not in ("{}", ""):
            found = text.find(told, position)
            assert found >= 0
            position = found + len(told)


def test_a_call_that_repeats_an_earlier_one_completes_the_answer() -> None:
    parser = HermesFormat().parser([{"name": "look"}, {"name": "find"}])
    call = '<tool_call>{"name": "look", "arguments": {"x": 1}}</tool_call>\n'
    for other in (call, call.replace("1", "2"), call.replace("look", "find")):
        parser.feed(other)
        assert not parser.complete
    parser.feed(call)
    assert parser.complete


CALLS: dict[type[ToolFormat], str] = {
    HermesFormat: f"{HERMES_CALL}\n{HERMES_CALL}",
    LlamaFormat: '{"name": "f", "parameters": {"a": 1}}',
    MistralListFormat: '[TOOL_CALLS][{"name": "f", "arguments": {"a": 1}}, {"name": "now", "arguments": {}}]',
    MistralFormat: '[TOOL_CALLS]f[ARGS]{"a": 1}[TOOL_CALLS]now[ARGS]{}',
}


@given(st.sampled_from(KINDS), st.data())
def test_of_an_answer_of_calls_alone_that_is_cut_off_no_text_is_left(
    kind: type[ToolFormat], data: st.DataObject
) -> None:
    whole = CALLS[kind]
    text = whole[: data.draw(st.integers(0, len(whole)))]
    forced = ToolParser(kind.markup, NAMES, forced=True)
    free = ToolParser(kind.markup, NAMES)
    told = forced.feed(text) + forced.finish()
    assert [event for event in told if isinstance(event, Text)] == []
    calls = [event for event in free.feed(text) + free.finish() if isinstance(event, ToolCall)]
    assert [replace(event, id=None) for event in told if isinstance(event, ToolCall)] == [
        replace(event, id=None) for event in calls
    ]
