from edge.workers.messages import Audio, Generated, Heard, Segment, Text, ToolCall, Transcribed
from edge.workers.tally import Tally


def test_tokens_are_counted_by_request_until_each_has_its_end() -> None:
    tally = Tally(2)
    tally.take(0, Text("a", 1))
    tally.take(1, ToolCall(0, tokens=2))
    tally.take(0, Text("b", 3))
    assert tally.drawn == [4, 2]
    tally.take(1, Generated("stop", 1, 2, queue_ms=5))
    assert not tally.complete
    tally.take(0, Generated("cancelled", 1, 4, queue_ms=9))
    assert tally.complete
    assert tally.queue_ms == 9


def test_what_was_heard_ends_with_the_last_segment() -> None:
    tally = Tally(1)
    for number in range(3):
        tally.take(0, Segment(number, 0, number * 2.0, number * 2.0 + 1, "a", [], 0.0, 0.0, 1.0, 0.0))
    tally.take(0, Heard(6.5, 9.0))
    tally.take(0, Heard(1.0, 9.0))
    assert tally.heard_seconds == 6.5
    assert not tally.complete
    tally.take(0, Transcribed("en", 9.0))
    assert tally.complete


def test_the_first_event_is_timed() -> None:
    tally = Tally(1)
    assert tally.first_at is None
    assert tally.queue_ms == 0
    tally.take(0, Audio(b"x", 3))
    first = tally.first_at
    tally.take(0, Audio(b"x", 4))
    assert tally.spoken_characters == 7
    assert first is not None
    assert tally.first_at == first
