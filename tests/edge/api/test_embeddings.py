import base64
import struct
from typing import Any

import pytest
from starlette.testclient import TestClient


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


def test_floats_are_written_as_short_as_they_can_be_read_back(client: TestClient) -> None:
    response = client.post("/v1/embeddings", json={"model": "all-minilm-l6-v2", "input": "a"})
    assert b'"embedding":[0.6,0.8,0.0]' in response.content


def test_the_model_is_asked_for_the_dimensions(client: TestClient) -> None:
    for encoding in ("float", "base64"):
        short = embed(client, dimensions=2, encoding_format=encoding).json()["data"][0]["embedding"]
        if isinstance(short, str):
            short = struct.unpack("<2f", base64.b64decode(short))
        assert short == pytest.approx((0.6, 0.8))


@pytest.mark.parametrize("value", [["a", "", "b"], [[1], [], [2]]])
def test_an_empty_input_is_pointed_at(client: TestClient, value: Any) -> None:
    response = embed(client, input=value)
    assert response.status_code == 400
    assert response.json()["detail"] == "input: number 1, counted from 0, is empty"


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
        ({"dimensions": 2.5}, "dimensions"),
        ({"dimensions": 10**30}, "dimensions"),
        ({"input": [1, -1]}, "input"),
        ({"input": [1, 10**30]}, "input"),
        ({"input": [1.5]}, "input"),
        ({"input": [True]}, "input"),
        ({"input": ["a", 1]}, "input"),
        ({"input": [[1], "a"]}, "input"),
        ({"input": None}, "input"),
        ({"input": {}}, "input"),
        ({"model": "kokoro-82m"}, "model"),
    ],
)
def test_a_bad_field_is_named(client: TestClient, fields: dict[str, Any], param: str) -> None:
    response = embed(client, **fields)
    assert response.status_code == 400
    assert response.json()["error"]["param"].split(".")[0] == param
