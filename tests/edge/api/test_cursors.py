import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.api.cursors import read_cursor, write_cursor
from edge.errors import InvalidField


@given(st.lists(st.text(), min_size=1, max_size=4))
def test_a_place_is_read_back(place: list[str]) -> None:
    assert read_cursor(write_cursor(place), len(place)) == tuple(place)


def test_no_cursor_is_the_beginning() -> None:
    assert read_cursor(None, 2) is None


@pytest.mark.parametrize("cursor", ["", "!", "é", "WyJhIl0", "eyJhIjoxfQ", "WzEsMl0", "AAAA"])
def test_anything_else_is_refused(cursor: str) -> None:
    with pytest.raises(InvalidField, match="next_cursor"):
        read_cursor(cursor, 2)
