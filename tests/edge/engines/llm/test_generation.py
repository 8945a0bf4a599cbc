import json
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.workers.messages import ToolCall
from tests.edge.engines.llm.making import CONTROL, END, PIECES, Exhausting, Making, decoded, expected_row, row


def first_stop(text: str, stop: Sequence[str]) -> int | None:
    return min((text.index(word) for word in stop if word in text), default=None)


words = st.lists(st.integers(1, len(PIECES) - 1), max_size=20)
stops = st.lists(st.text("abc é", min_size=1, max_size=4), max_size=3)


@given(words, st.booleans(), stops, st.integers(1, 25), st.none() | st.integers(0, 3))
def test_an_answer_is_its_tokens_up_to_a_stop_string_the_end_or_the_limit(
    tokens: list[int], ends: bool, stop: list[str], limit: int, top: int | None
) -> None:
    making = Making(stop=stop, limit=limit, logprobs=top)
    tokens = [*tokens, END] if ends else tokens
    taken = making.take(tokens)

    # The slow way: read the whole text again after each token.
    made: list[int] = []
    text, reason, cut = "", None, False
    for number, token in enumerate(tokens, 1):
        if token == END:
            text, reason = decoded(made, final=True), "stop"
            at = first_stop(text, stop)
            text, cut = text[:at], at is not None
            break
        made.append(token)
        at = first_stop(decoded(made), stop)
        if at is not None:
            text, reason, cut = decoded(made)[:at], "stop", True
            break
        if number == limit:
            text, reason = decoded(made, final=True), "length"
            at = first_stop(text, stop)
            text, cut = text[:at], at is not None
            break
    kept = [token for number, token in enumerate(made) if not cut or len(decoded(made[:number])) < len(text)]
    if reason is None:
        assert taken == len(tokens)
        assert decoded(made).startswith(making.text)
        return
    assert taken == len(made) + (reason == "stop" and tokens[taken - 1] == END)
    assert making.text == text
    assert (making.end.finish_reason, making.end.completion_tokens) == (reason, taken)
    assert making.tokens == len(kept)
    if top is not None:
        assert making.rows == [expected_row(token, row(number), top) for number, token in enumerate(kept)]


@given(words, stops)
def test_what_is_told_lies_within_the_tokens_told(tokens: list[int], stop: list[str]) -> None:
    making = Making(stop=stop, logprobs=0)
    making.take([*tokens, END])
    text, told = "", []
    for event in making.told:
        text += event.text
        told += [scored[0] for scored in event.logprobs or []]
        assert len(event.logprobs or []) == event.tokens
        assert event.tokens or event.text
        assert decoded(told, final=True).startswith(text)


@given(words, st.integers(1, 25))
def test_without_stop_strings_every_token_but_the_end_is_told(tokens: list[int], limit: int) -> None:
    making = Making(limit=limit)
    taken = making.take([*tokens, END])
    assert making.tokens == making.end.completion_tokens - (taken == len(tokens) + 1)
    assert making.generation.scheduled.tokens == [2, 3, *tokens[:taken]]


def test_a_character_of_several_tokens_is_told_with_all_of_them() -> None:
    making = Making(logprobs=0)
    making.take([2, 11, 12])
    assert [(event.text, event.tokens) for event in making.told] == [("a", 1)]
    making.take([13])
    assert [(event.text, event.tokens) for event in making.told] == [("a", 1), ("\N{GRINNING FACE}a", 3)]


def test_what_could_be_a_stop_string_is_told_with_what_shows_that_it_is_none() -> None:
    making = Making(stop=["aba"], logprobs=0)
    making.take([4, 1, 7])
    assert [(event.text, event.tokens) for event in making.told] == [("ab ", 3)]


def test_tokens_whose_text_was_cut_off_are_not_told() -> None:
    making = Making(stop=["b a"], logprobs=0)
    making.take([6, 3, 7, 2])
    assert making.text == "c a"
    assert [scored[0] for scored in making.rows] == [6]
    assert making.tokens == 1
    assert making.end.completion_tokens == 4


def test_a_token_that_is_all_stop_string_is_not_told_with_text_of_the_one_before() -> None:
    making = Making(stop=["abab c"], pieces=[b"", b"xabab", b"ab c", b"z"], logprobs=0)
    making.take([1, 2])
    assert [(event.text, [scored[0] for scored in event.logprobs or []]) for event in making.told] == [
        ("x", [1]),
        ("ab", []),
    ]


def test_bytes_that_are_no_character_do_not_shift_what_was_cut_off() -> None:
    making = Making(stop=["END"], pieces=[b"", b"\xff", b"END"], logprobs=0)
    making.take([1, 2])
    assert making.text == "\N{REPLACEMENT CHARACTER}"
    assert [scored[0] for scored in making.rows] == [1]


def test_tokens_without_text_are_told_at_the_end() -> None:
    making = Making(logprobs=0)
    making.take([CONTROL, CONTROL, END])
    assert [(event.text, event.tokens) for event in making.told] == [("", 2)]
    assert (making.end.finish_reason, making.end.completion_tokens) == ("stop", 3)


def test_an_answer_of_nothing_but_the_end() -> None:
    making = Making(logprobs=2)
    assert making.take([END]) == 1
    assert making.events == [making.end]
    assert (making.end.finish_reason, making.end.completion_tokens) == ("stop", 1)


def test_log_probabilities_are_those_of_the_model_itself() -> None:
    making = Making(logprobs=1, temperature=0.0, logit_bias=[(2, 100.0)], presence_penalty=1.0)
    making.generation.draw(row(0))
    making.generation.draw(row(1))
    assert making.rows == [expected_row(2, row(0), 1), expected_row(2, row(1), 1)]


def test_a_text_that_a_constraint_takes_no_more_of_ends() -> None:
    making = Making(constraint=Exhausting(2), temperature=0.0)
    logits = np.zeros(len(PIECES), np.float32)
    logits[2] = 1
    assert not making.generation.draw(logits)
    assert making.generation.draw(logits)
    assert (making.text, making.end.finish_reason, making.end.completion_tokens) == ("aa", "stop", 2)


# Echoes


@given(
    st.lists(st.integers(1, len(PIECES) - 1), min_size=1, max_size=12),
    st.lists(st.integers(1, 5), max_size=4),
    st.integers(0, 12),
    st.integers(0, 2),
)
def test_an_echo_has_the_log_probabilities_of_its_prompt(
    prompt: list[int], chunks: list[int], restart: int, top: int
) -> None:
    making = Making(prompt=prompt, echo=True, echo_text=decoded(prompt, final=True), logprobs=top)
    assert making.generation.scheduled.outputs_wanted
    steps = [*chunks, len(prompt)]
    for first_run in (True, False):  # the first is broken off, as by a preemption
        start = 0
        for count in steps:
            end = min(start + count, len(prompt), restart if first_run else len(prompt))
            rows = [row(number) for number in range(start, end)]
            if rows:
                making.generation.score(np.stack(rows), start)
            start = end
    making.generation.take(2, row(99))
    echo = making.told[0]
    assert (echo.text, echo.tokens) == (decoded(prompt, final=True), 0)
    first = [prompt[0], PIECES[prompt[0]], None, []]
    scored = [expected_row(token, row(number), top) for number, token in enumerate(prompt[1:])]
    assert echo.logprobs == [first, *scored]
    assert making.rows == [first, *scored, expected_row(2, row(99), top)]
    assert making.tokens == 1


def test_an_echo_comes_before_all_that_is_drawn() -> None:
    making = Making(echo=True, echo_text="ab", stop=["ba"])
    making.take([3, 2])
    assert [event.text for event in making.told] == ["ab"]
    assert not making.generation.scheduled.outputs_wanted
    assert making.told[0].logprobs is None


def test_a_prompt_without_text_is_echoed_with_its_log_probabilities() -> None:
    making = Making(prompt=[CONTROL], echo=True, logprobs=0)
    making.take([2, END])
    assert [(event.text, len(event.logprobs or [])) for event in making.told] == [("", 1), ("a", 1)]


def test_a_limit_of_nothing_gives_the_echo_alone() -> None:
    making = Making(echo=True, echo_text="ab", limit=0)
    assert making.generation.end_without_drawing()
    assert making.text == "ab"
    assert (making.end.finish_reason, making.end.completion_tokens, making.end.prompt_tokens) == (
        "length",
        0,
        2,
    )


def test_with_a_limit_a_token_is_drawn() -> None:
    making = Making(limit=1)
    assert not making.generation.end_without_drawing()
    assert making.events == []


# Function calls

CALL = '<tool_call>\n{"name": "look", "arguments": {"at": "a é \N{GRINNING FACE}"}}\n</tool_call>'


def lettered(text: str) -> tuple[list[bytes], list[int]]:
    """Return a vocabulary of bytes, after the end token, and the tokens of *text*."""
    return [b"", *(bytes([byte]) for byte in range(256))], [byte + 1 for byte in text.encode()]


def calls_of(making: Making) -> list[tuple[str | None, str]]:
    calls: dict[int, tuple[str | None, str]] = {}
    for event in making.events:
        if isinstance(event, ToolCall):
            name, arguments = calls.get(event.index, (event.name, ""))
            calls[event.index] = (name, arguments + event.arguments)
    return list(calls.values())


def test_calls_are_told_as_calls() -> None:
    pieces, tokens = lettered("Well. " + CALL + "\n" + CALL)
    making = Making(pieces=pieces, tools=["look"], limit=1000, logprobs=0)
    making.take([*tokens, END])
    assert making.text == "Well. "
    assert [(name, json.loads(arguments)["at"]) for name, arguments in calls_of(making)] == [
        ("look", "a é \N{GRINNING FACE}")
    ] * 2
    assert making.end.finish_reason == "tool_calls"
    assert 0 < making.tokens <= making.end.completion_tokens - 1


def test_a_token_of_text_and_a_call_counts_once() -> None:
    making = Making(pieces=[b"", b"Well. " + CALL.encode(), b" Yes."], tools=["look"], logprobs=0)
    making.take([1, 2, END])
    assert [type(event).__name__ for event in making.events[:3]] == ["Text", "ToolCall", "ToolCall"]
    assert making.text == "Well.  Yes."
    assert making.tokens == len(making.rows) == 2


def test_one_call_ends_an_answer_that_may_have_one() -> None:
    pieces, tokens = lettered(CALL + CALL)
    making = Making(pieces=pieces, tools=["look"], limit=1000, parallel=False)
    taken = making.take(tokens)
    assert len(CALL.encode()) - len("\n</tool_call>") == taken == making.end.completion_tokens
    assert making.end.finish_reason == "tool_calls"
    assert len(calls_of(making)) == 1


def test_a_call_that_is_cut_off_ends_by_its_length() -> None:
    pieces, tokens = lettered(CALL)
    making = Making(pieces=pieces, tools=["look"], limit=60)
    making.take(tokens)
    assert making.end.finish_reason == "length"
    assert calls_of(making)[0][0] == "look"


def test_markers_that_are_control_tokens_are_seen() -> None:
    pieces, tokens = lettered(CALL.removeprefix("<tool_call>").removesuffix("</tool_call>"))
    making = Making(
        pieces=[*pieces, b"", b""],
        tools=["look"],
        limit=1000,
        shown={len(pieces): b"<tool_call>", len(pieces) + 1: b"</tool_call>"},
    )
    making.take([len(pieces), *tokens, len(pieces) + 1, END])
    assert making.text == ""
    assert [name for name, _ in calls_of(making)] == ["look"]


def test_what_only_looked_like_a_call_is_told_as_text_with_its_tokens() -> None:
    pieces, tokens = lettered("<tool_call>nothing")
    making = Making(pieces=pieces, tools=["look"], logprobs=0)
    making.take([*tokens, END])
    assert making.text == "<tool_call>nothing"
    assert making.tokens == len(tokens) == len(making.rows)
    assert making.end.finish_reason == "stop"


def test_text_that_a_parser_held_back_is_told_before_a_stop_string() -> None:
    pieces, tokens = lettered("a <tool END")
    making = Making(pieces=pieces, tools=["look"], stop=["END"], logprobs=0)
    making.take(tokens)
    assert making.text == "a <tool "
    assert making.tokens == len("a <tool ") == len(making.rows)


# Times


def test_times_are_those_of_the_first_start() -> None:
    making = Making()
    started = making.generation._started
    making.generation.start()
    assert making.generation._started == started
    making.take([2, END])
    assert making.end.queue_ms == pytest.approx((started - making.job.submitted) * 1000)
    assert making.end.queue_ms >= 0
    assert making.end.inference_ms >= 0
    assert started <= making.told[0].made_at


def test_cached_tokens_are_told() -> None:
    making = Making()
    making.generation.scheduled.cached = 1
    making.take([END])
    assert making.end.cached_tokens == 1
