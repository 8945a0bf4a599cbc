import time

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autorouter.formats import ACCEPT_CHARACTERS, JSON, MSGPACK, asked_for

FIELDS = {"region": "yto-01", "distance_km": 1.5, "country": None, "fallbacks": [{"region": "yul-01"}]}


@pytest.mark.parametrize(
    "accept",
    [
        None,
        "",
        "*/*",
        "application/*",
        "application/json",
        "Application/JSON; charset=utf-8",
        "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
        "application/json, text/plain, */*",
        "application/json, application/msgpack",
        "application/msgpack, application/json",
        "application/msgpack;q=0.9, application/json",
        "application/msgpack;q=0.4, */*;q=0.5",
        "application/msgpack;q=0, */*",
        "application/msgpack;q=0",
        "application/msgpack;q=1.1",
        "application/msgpack;q=high",
        "application/msgpack;q=-1",
        "application/msgpackage",
        "application/json;q=0.5",
        "text/html",
        "msgpack",
        ",;,=;q",
    ],
)
def test_json_unless_msgpack_is_preferred(accept: str | None) -> None:
    assert asked_for(accept) is JSON


@pytest.mark.parametrize(
    "accept",
    [
        "application/msgpack",
        "application/x-msgpack",
        "application/vnd.msgpack",
        " APPLICATION/MsgPack ; q=0.5 ",
        "application/msgpack;version=5;q=0.001",
        "application/json;q=0.9, application/msgpack",
        "application/json;q=0.9,application/x-msgpack;q=0.95",
        "application/msgpack, */*",
        "application/msgpack;q=0.5, application/*;q=0.5",
        "application/json;q=0, */*",
        "application/json;q=0.1, application/*;q=0.2",
        "text/html, application/msgpack;q=0.000, application/vnd.msgpack",
    ],
)
def test_msgpack_where_it_is_asked_for(accept: str) -> None:
    assert asked_for(accept) is MSGPACK


def test_only_the_beginning_of_a_long_header_is_read() -> None:
    assert asked_for("text/html," * 10 + "application/msgpack") is MSGPACK
    assert asked_for("text/html," * 40 + "application/msgpack") is JSON
    assert asked_for("x" * ACCEPT_CHARACTERS + ",application/msgpack") is JSON


@pytest.mark.parametrize("piece", [",", ";", "application/msgpack;q=0.5,", ";q=", "*/*,", "a;b=c;"])
def test_a_huge_header_costs_next_to_nothing(piece: str) -> None:
    started = time.process_time()
    for number in range(100):
        asked_for(str(number) + piece * 50_000)
    assert time.process_time() - started < 1.0


@given(st.text(max_size=200))
def test_anything_is_a_header(accept: str) -> None:
    assert asked_for(accept) in (JSON, MSGPACK)


def test_both_formats_say_the_same() -> None:
    assert msgpack.unpackb(MSGPACK.encode(FIELDS)) == FIELDS
    assert JSON.encode(FIELDS) != MSGPACK.encode(FIELDS)
