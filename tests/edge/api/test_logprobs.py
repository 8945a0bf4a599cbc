import math

from hypothesis import given
from hypothesis import strategies as st

from edge.api.logprobs import FLOOR, TextOffsets, chat_logprobs, mean, token_text


@given(st.lists(st.binary(max_size=4), max_size=20))
def test_any_bytes_are_told(tokens: list[bytes]) -> None:
    rows = [[1, token, -1.0, [[2, token, -2.0]]] for token in tokens]
    chat = chat_logprobs(rows)["content"]
    assert [bytes(item["bytes"]) for item in chat] == tokens
    text = TextOffsets().shape(rows)
    assert text["text_offset"] == sorted(text["text_offset"])
    assert text["tokens"] == [token_text(token) for token in tokens]


@given(st.text(max_size=20), st.lists(st.integers(1, 4), max_size=40))
def test_each_offset_is_where_its_token_begins(text: str, lengths: list[int]) -> None:
    data = text.encode()
    tokens: list[bytes] = []
    for length in lengths:
        if data:
            tokens.append(data[:length])
            data = data[length:]
    offsets = TextOffsets()
    shaped = [offsets.shape([[1, token, -1.0, []]]) for token in tokens]
    at = [item["text_offset"][0] for item in shaped]
    for number, token in enumerate(tokens):
        if not token_text(token).startswith("bytes:"):
            assert text[at[number] :].startswith(token.decode())


def test_what_json_cannot_say_becomes_a_number() -> None:
    rows = [[1, b"a", -math.inf, [[2, b"b", math.nan]]]]
    content = chat_logprobs(rows)["content"][0]
    assert (content["logprob"], content["top_logprobs"][0]["logprob"]) == (FLOOR, FLOOR)


def test_nothing_is_told_of_a_prompts_first_token() -> None:
    shaped = TextOffsets().shape([[1, b"a", None, []], [2, b"b", -1.0, []]])
    assert shaped["token_logprobs"] == [None, -1.0]
    assert shaped["top_logprobs"] == [None, {"b": -1.0}]


def test_the_mean_leaves_out_what_is_not_known() -> None:
    assert mean([[1, b"a", None, []], [2, b"b", -1.0, []], [3, b"c", -2.0, []]]) == -1.5
    assert mean([]) == 0
