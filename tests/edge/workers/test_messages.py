import itertools
import struct
from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.workers import messages
from edge.workers.messages import Decoder, ProtocolError, encode

EXAMPLES: list[messages.Message] = [
    messages.Load("edge.engines.llm", {"model": "/models/a.gguf"}, {"threads": 2}, nice=5),
    messages.Submit(1, messages.Generate(messages=[{"role": "user", "content": "hé"}], stop=["a"])),
    messages.Submit(2, messages.Generate(prompt=[1, 2, 3], max_tokens=5, seed=7)),
    messages.Submit(3, messages.Embed(["a", [1, 2]])),
    messages.Submit(4, messages.Speak("hello", "af_bella", "mp3", 1.5, True)),
    messages.Submit(5, messages.Transcribe(b"\x00\xff" * 1000, "en", None, 0.5, True, True, "key_1")),
    messages.Cancel(5),
    messages.Ping(9),
    messages.Pong(9),
    messages.Ready({"context_tokens": 1}),
    messages.LoadFailed("no such file"),
    messages.Emit(1, messages.Text("é")),
    messages.Emit(1, messages.Generated("stop", 3, 4, 0.5, 1.5)),
    messages.Emit(3, messages.Vectors(b"\x00" * 8, 2, 5)),
    messages.Emit(4, messages.Audio(b"RIFF")),
    messages.Emit(5, messages.Heard(30.0, 60.5)),
    messages.Emit(5, messages.Segment(0, 0, 0.0, 1.5, " hi", [1], 0.0, -0.1, 1.0, 0.01)),
    messages.Emit(
        5, messages.Segment(1, 0, 0.0, 1.5, " a", [1], 0.0, -0.1, 1.0, 0.0, [[" a", 0.0, 1.5, 0.9]])
    ),
    messages.Emit(5, messages.Transcribed("en", 1.5)),
    messages.Finished(5),
    messages.Failed(6, "too long", True, "prompt"),
]


@pytest.mark.parametrize("message", EXAMPLES, ids=lambda message: type(message).__name__)
def test_every_message_survives_the_wire(message: messages.Message) -> None:
    assert list(Decoder().feed(encode(message))) == [message]


@given(cuts=st.lists(st.integers(0, 5000), max_size=20))
def test_frames_may_arrive_in_any_pieces(cuts: list[int]) -> None:
    data = b"".join(map(encode, EXAMPLES))
    edges = sorted({0, len(data), *(min(cut, len(data)) for cut in cuts)})
    decoder = Decoder()
    received = [m for a, b in itertools.pairwise(edges) for m in decoder.feed(data[a:b])]
    assert received == EXAMPLES


def test_a_frame_that_is_too_long_is_refused_before_it_is_read() -> None:
    with pytest.raises(ProtocolError, match="announced"):
        list(Decoder().feed(struct.pack(">I", messages.MAX_FRAME_BYTES + 1)))


def test_a_message_that_is_too_long_is_not_sent() -> None:
    with pytest.raises(ProtocolError, match="does not fit"):
        encode(messages.Submit(1, messages.Transcribe(b"\x00" * (messages.MAX_FRAME_BYTES + 1))))


@pytest.mark.parametrize(
    "body",
    [[], ["Nothing"], {"a": 1}, ["Cancel"], ["Cancel", 1, 2], ["Submit", 1, ["Nothing"]], ["Emit", 1, 5], 3],
)
def test_what_is_no_message_is_refused(body: Any) -> None:
    packed = msgpack.packb(body)
    with pytest.raises(ProtocolError):
        list(Decoder().feed(struct.pack(">I", len(packed)) + packed))


def test_what_is_no_msgpack_is_refused() -> None:
    with pytest.raises(ProtocolError, match="not msgpack"):
        list(Decoder().feed(struct.pack(">I", 3) + b"\xc1\xc1\xc1"))
