import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.llm.sse import BadAnswer, EventReader

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n"
EVENTS = b'data: {"a": 1}\n\n: a comment\n\ndata:one\ndata: two\n\nid: 7\n\ndata: [DONE]\n\n'
DATA = [b'{"a": 1}', b"one\ntwo", b"[DONE]"]


def chunked(body: bytes, size: int) -> bytes:
    pieces = [body[start : start + size] for start in range(0, len(body), size)]
    framed = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)
    return HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + framed + b"0\r\n\r\n"


def read(answer: bytes, step: int) -> tuple[EventReader, list[bytes]]:
    reader = EventReader()
    events = []
    for start in range(0, len(answer), step):
        events += reader.feed(answer[start : start + step])
    return reader, events


@given(size=st.integers(1, 40), step=st.integers(1, 60))
def test_events_are_found_however_the_bytes_are_cut(size: int, step: int) -> None:
    reader, events = read(chunked(EVENTS, size), step)
    assert events == DATA
    assert reader.status == 200
    assert reader.complete


@given(size=st.integers(1, 40), step=st.integers(1, 60))
def test_lines_may_end_in_carriage_return_and_line_feed(size: int, step: int) -> None:
    _, events = read(chunked(EVENTS.replace(b"\n", b"\r\n"), size), step)
    assert events == DATA


@given(step=st.integers(1, 60))
def test_a_body_may_have_a_length_or_none(step: int) -> None:
    reader, events = read(HEAD + b"Content-Length: %d\r\n\r\n" % len(EVENTS) + EVENTS, step)
    assert (events, reader.complete) == (DATA, True)
    reader, events = read(HEAD + b"\r\n" + EVENTS, step)
    assert (events, reader.complete) == (DATA, False)


def test_an_event_is_there_as_soon_as_its_last_byte_is() -> None:
    reader = EventReader()
    answer = chunked(b"data: x\n\n", 100)
    end = answer.index(b"\n\n", len(HEAD) + 20) + 2
    assert reader.feed(answer[: end - 1]) == []
    assert reader.feed(answer[end - 1 : end]) == [b"x"]


def test_the_body_of_an_error_is_kept() -> None:
    body = b'{"detail": "no such model"}'
    head = b"HTTP/1.1 404 Not Found\r\ncontent-type: application/json\r\n"
    reader, events = read(head + b"content-length: %d\r\n\r\n" % len(body) + body, 7)
    assert (events, reader.status, bytes(reader.body), reader.complete) == ([], 404, body, True)


def test_trailers_and_chunk_extensions_are_passed_over() -> None:
    answer = HEAD + b"transfer-encoding: chunked\r\n\r\n9;x=y\r\ndata: 1\n\n\r\n0\r\nA: b\r\n\r\n"
    reader, events = read(answer, 1)
    assert (events, reader.complete) == ([b"1"], True)


@pytest.mark.parametrize(
    "answer",
    [
        b"SMTP/1.1 200 OK\r\n\r\n",
        b"HTTP/1.1 abc\r\n\r\n",
        HEAD + b"transfer-encoding: chunked\r\n\r\nxyz\r\n",
        b"x" * 70_000,
    ],
)
def test_what_is_no_answer_is_refused(answer: bytes) -> None:
    with pytest.raises(BadAnswer):
        EventReader().feed(answer)
