import itertools

from hypothesis import given
from hypothesis import strategies as st

from edge.engines.llm.text import TextAssembler


def pieces_of(data: bytes, cuts: list[int]) -> list[bytes]:
    edges = sorted({0, len(data), *(min(cut, len(data)) for cut in cuts)})
    return [data[a:b] for a, b in itertools.pairwise(edges)]


@given(text=st.text(max_size=60), cuts=st.lists(st.integers(0, 200), max_size=30))
def test_characters_are_never_torn(text: str, cuts: list[int]) -> None:
    assembler = TextAssembler()
    parts = [assembler.feed(piece) for piece in pieces_of(text.encode(), cuts)] + [assembler.finish()]
    assert "".join(parts) == text
    assert "\N{REPLACEMENT CHARACTER}" not in "".join(parts).replace(text, "")


@given(
    text=st.text("abc é", max_size=40),
    stop=st.lists(st.text("abc é", min_size=1, max_size=4), min_size=1, max_size=3),
    cuts=st.lists(st.integers(0, 80), max_size=30),
)
def test_text_ends_before_the_first_stop_string(text: str, stop: list[str], cuts: list[int]) -> None:
    assembler = TextAssembler(stop)
    seen = ""
    for piece in pieces_of(text.encode(), cuts):
        seen += assembler.feed(piece)
        assert not any(word in seen for word in stop)
        if assembler.stopped:
            break
    seen += assembler.finish()
    # The earliest end of a stop string decides, as the text comes piece by piece.
    ends = [text.index(word) + len(word) for word in stop if word in text]
    assert assembler.stopped == bool(ends)
    if not ends:
        assert seen == text
    else:
        assert text.startswith(seen)
        assert any(text.startswith(word, len(seen)) for word in stop)


def test_a_stop_string_over_several_tokens_is_held_back() -> None:
    assembler = TextAssembler(["END"])
    assert assembler.feed(b"the E") == "the "
    assert assembler.feed(b"N") == ""
    assert assembler.feed(b"D!") == ""
    assert assembler.stopped


def test_what_only_looked_like_a_stop_string_comes_after_all() -> None:
    assembler = TextAssembler(["END"])
    assert assembler.feed(b"the EN") == "the "
    assert assembler.feed(b"VY") == "ENVY"
    assert assembler.finish() == ""


def test_bytes_that_are_no_character_are_shown_as_such() -> None:
    assembler = TextAssembler()
    assert assembler.feed(b"a\xf0\x9f") == "a"
    assert assembler.finish() == "\N{REPLACEMENT CHARACTER}"
