from collections.abc import Iterable
from typing import Any

import anyio
import pytest

from edge.api import event_source
from edge.api.event_source import DONE, written
from edge.workers.messages import Event, Finished, Text
from edge.workers.stream import EventStream
from shared.errors import ApiError

pytestmark = pytest.mark.anyio


class Words:
    """Begins with a word and ends with one; an event without text adds nothing."""

    def opening(self) -> Iterable[dict[str, Any]]:
        yield {"word": "begin"}

    def feed(self, index: int, event: Event) -> Iterable[dict[str, Any]]:
        assert isinstance(event, Text)
        return ({"word": event.text},) if event.text else ()

    def closing(self) -> Iterable[dict[str, Any]]:
        yield {"word": "end"}

    def failure(self, error: ApiError) -> dict[str, Any]:
        return {"error": error.detail}


def word(text: str) -> bytes:
    return b'data: {"word":"%s"}\n\n' % text.encode()


def filled(*texts: str) -> EventStream:
    stream = EventStream(1, lambda: None)
    for text in texts:
        stream.put(0, Text(text))
    return stream


async def test_what_is_there_at_once_leaves_in_one_piece() -> None:
    stream = filled("b", "c", "d")
    stream.end(Finished(1))
    first = (0, Text("a"))
    assert [piece async for piece in written(first, stream, Words())] == [
        word("begin") + word("a"),
        word("b") + word("c") + word("d"),
        word("end") + DONE,
    ]


async def test_an_event_that_adds_nothing_is_no_piece() -> None:
    stream = filled("", "")
    stream.end(Finished(1))
    assert [piece async for piece in written(None, stream, Words())] == [word("begin"), word("end") + DONE]


async def test_a_failure_comes_after_what_was_made_and_ends_the_stream() -> None:
    stream = filled("a")
    stream.fail("it died")
    assert [piece async for piece in written(None, stream, Words())] == [
        word("begin"),
        word("a"),
        b'data: {"error":"it died"}\n\n' + DONE,
    ]


async def test_silence_is_broken_by_comments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_source, "SILENCE_SECONDS", 0.02)
    stream = filled()
    pieces = []
    with anyio.fail_after(5):
        async for piece in written(None, stream, Words()):
            pieces.append(piece)
            if len(pieces) == 3:
                stream.put(0, Text("a"))
                stream.end(Finished(1))
    comment = b": still working\n\n"
    assert pieces == [word("begin"), comment, comment, word("a"), word("end") + DONE]
