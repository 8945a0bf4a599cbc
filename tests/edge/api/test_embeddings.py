import base64
import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.testclient import TestClient

from edge.api.embeddings import shorten


def embed(client: TestClient, **fields: Any) -> Any:
    return client.post("/v1/embeddings", json={"model": "text-embedding-3-small", "input": "a"} | fields)


@pytest.mark.parametrize(("value", "count"), [("a", 1), (["a", "b"], 2), ([1, 2], 1), ([[1], [2, 3]], 2)])
def test_every_form_of_input_is_taken(client: TestClient, value: Any, count: int) -> None:
    body = embed(client, input=value).json()
    assert body["object"] == "list"
    assert body["model"] == "all-minilm-l6-v2"
    assert [item["index"] for item in body["data"]] == list(range(count))
    assert all(item["object"] == "embedding" for item in body["data"])
    assert body["data"][0]["embedding"] == pytest.approx([0.6, 0.8, 0.0])
    assert body["usage"] == {"prompt_tokens": 5 * count, "total_tokens": 5 * count}


def test_base64_holds_little_endian_floats(client: TestClient) -> None:
    encoded = embed(client, encoding_format="base64").json()["data"][0]["embedding"]
    assert struct.unpack("<3f", base64.b64decode(encoded)) == pytest.approx((0.6, 0.8, 0.0))


def test_shorter_vectors_have_unit_length_too(client: TestClient) -> None:
    assert embed(client, dimensions=1).json()["data"][0]["embedding"] == pytest.approx([1.0])
    assert embed(client, dimensions=3).json()["data"][0]["embedding"] == pytest.approx([0.6, 0.8, 0.0])


@given(rows=st.lists(st.lists(st.floats(-1, 1, width=32), min_size=8, max_size=8), min_size=1, max_size=4))
def test_shortened_rows_have_unit_length_or_are_zero(rows: list[list[float]]) -> None:
    array = np.asarray(rows, np.float32)
    lengths = np.linalg.norm(shorten(array, 4), axis=1)
    tiny = np.linalg.norm(array[:, :4], axis=1) < 1e-6
    assert np.all(tiny | (np.abs(lengths - 1) < 1e-4))


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"input": ""}, "input"),
        ({"input": []}, "input"),
        ({"input": ["a", ""]}, "input"),
        ({"input": 5}, "input"),
        ({"input": ["a"] * 2049}, "input"),
        ({"encoding_format": "hex"}, "encoding_format"),
        ({"dimensions": 0}, "dimensions"),
        ({"dimensions": 4}, "dimensions"),
        ({"model": "kokoro-82m"}, "model"),
    ],
)
def test_a_bad_field_is_named(client: TestClient, fields: dict[str, Any], param: str) -> None:
    response = embed(client, **fields)
    assert response.status_code == 400
    assert response.json()["error"]["param"].split(".")[0] == param
