import pytest
from hypothesis import given
from hypothesis import strategies as st

from autorouter.choose import Scope
from autorouter.query import KEPT_BYTES, NOTHING, Query, parse_query


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (b"scope=global", Query(scope=Scope.GLOBAL)),
        (b"scope=%20GLOBAL%20", Query(scope=Scope.GLOBAL)),
        (b"model=%20org%2Fname%3Aadapter+", Query(model="org/name:adapter")),
        (b"region=toronto&x=1", Query(region="toronto")),
        (b"region=yto-01&region=yul-01", Query(region="yul-01")),
        (b"scope=global&scope=country", NOTHING),
        (b"model=&region=+&scope", NOTHING),
        (b"scope=\xff&model=%ff", Query(model="\N{REPLACEMENT CHARACTER}")),
        (b"SCOPE=global&Model=x", NOTHING),
        (b"&&=&;", NOTHING),
        (b"model=" + b"x" * KEPT_BYTES, Query(model="x" * KEPT_BYTES)),
    ],
)
def test_what_a_query_asks_for(query: bytes, expected: Query) -> None:
    assert parse_query(query) == expected


@given(st.binary(max_size=2 * KEPT_BYTES))
def test_anything_is_a_query(query: bytes) -> None:
    assert parse_query(query) == parse_query(query)
