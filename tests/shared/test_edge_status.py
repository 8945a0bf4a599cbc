import tracemalloc
from contextlib import suppress
from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.edge_status import MAX_BYTES, EdgeStatus, ModelStatus, StatusError, decode, encode

names = st.text(min_size=1, max_size=200)
models = st.builds(
    ModelStatus,
    id=names,
    names=st.lists(names, max_size=5).map(tuple),
    state=st.sampled_from(["loading", "loaded", "failed"]),
    in_flight=st.integers(0, 10**6),
    soft_limit=st.integers(1, 10**6),
    limit=st.integers(1, 10**6),
)
statuses = st.builds(
    EdgeStatus, region=names, draining=st.booleans(), models=st.lists(models, max_size=4).map(tuple)
)

MODEL: dict[str, Any] = {
    "id": "m",
    "names": ["m", "alias"],
    "state": "loaded",
    "in_flight": 1,
    "soft_limit": 2,
    "limit": 3,
}
STATUS: dict[str, Any] = {"version": 1, "region": "a-01", "draining": False, "models": [MODEL]}


def refusal(body: bytes) -> str:
    with pytest.raises(StatusError) as caught:
        decode(body)
    assert len(str(caught.value)) < 500
    return str(caught.value)


@given(statuses)
def test_what_is_told_is_understood(status: EdgeStatus) -> None:
    assert decode(encode(status)) == status


def test_the_wire_is_as_written_here() -> None:
    status = decode(msgpack.packb(STATUS))
    assert (status.region, status.draining) == ("a-01", False)
    (model,) = status.models
    assert model == ModelStatus(
        id="m", names=("m", "alias"), state="loaded", in_flight=1, soft_limit=2, limit=3
    )
    assert msgpack.unpackb(encode(status)) == STATUS


def test_a_newer_edge_may_tell_more() -> None:
    told = STATUS | {"load": 0.5, "models": [MODEL | {"adapters": ["x"], "state": "warming"}]}
    assert decode(msgpack.packb(told)).models[0].state == "warming"


@pytest.mark.parametrize(
    ("told", "where"),
    [
        ({"version": 2}, "version: "),
        ({"version": None}, "version: "),
        ({"region": ""}, "region: "),
        ({"region": 7}, "region: "),
        ({"draining": 1}, "draining: "),
        ({"models": None}, "models: "),
        ({"models": [MODEL | {"names": "m"}]}, "models.0.names: "),
        ({"models": [MODEL | {"names": [b"m"]}]}, ""),
        ({"models": [MODEL | {"id": "x" * 201}]}, "models.0.id: "),
        ({"models": [MODEL | {"in_flight": -1}]}, "models.0.in_flight: "),
        ({"models": [MODEL | {"in_flight": 1.0}]}, "models.0.in_flight: "),
        ({"models": [MODEL | {"limit": 0}]}, "models.0.limit: "),
        ({"models": [MODEL] * 1001}, "not msgpack of a status: "),
        ({"models": [MODEL | {"names": ["m"] * 1001}]}, "not msgpack of a status: "),
    ],
)
def test_what_is_no_status_is_refused_by_its_field(told: dict[str, Any], where: str) -> None:
    assert refusal(msgpack.packb(STATUS | told)).startswith(where)


@pytest.mark.parametrize("field", ["region", "draining", "models"])
def test_a_missing_field_is_named(field: str) -> None:
    assert refusal(msgpack.packb({k: v for k, v in STATUS.items() if k != field})).startswith(f"{field}: ")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xc1",
        b"<html>",
        b'{"version": 1}',
        msgpack.packb([1, 2]),
        msgpack.packb(None),
        msgpack.packb({1: 2}),
        msgpack.packb(STATUS)[:-1],
        msgpack.packb(STATUS) + b"\x00",
        msgpack.packb(STATUS | {"when": msgpack.Timestamp(1)}),
        b"\x91" * 5000,
        b"\x81\xa1a" * 5000,
    ],
)
def test_garbage_is_refused(body: bytes) -> None:
    refusal(body)


def test_a_long_body_is_refused_before_it_is_read() -> None:
    assert refusal(bytes(MAX_BYTES + 1)) == f"more than {MAX_BYTES} bytes"


def test_a_small_body_cannot_claim_much_memory() -> None:
    claims = b"\xdc\xff\xff" * 500 + bytes(100_000)  # arrays of 65,535 elements, one in another
    tracemalloc.start()
    try:
        refusal(claims)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 2**20


@given(st.binary(max_size=300))
def test_random_bytes_are_refused(body: bytes) -> None:
    refusal(body)


@given(st.data())
def test_a_damaged_status_is_refused_or_understood(data: st.DataObject) -> None:
    body = bytearray(msgpack.packb(STATUS))
    body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    with suppress(StatusError):
        decode(bytes(body))
