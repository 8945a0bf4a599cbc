import base64
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.images import ImageError, decode_data_uri


@given(st.binary(max_size=200))
def test_what_was_encoded_comes_back(data: bytes) -> None:
    text = base64.b64encode(data).decode()
    assert decode_data_uri(f"data:image/png;base64,{text}", max_bytes=200) == data
    assert decode_data_uri(f"DATA:IMAGE/svg+xml;name=a;BASE64,{text}", max_bytes=200) == data


@pytest.mark.parametrize(
    "uri",
    [
        "data:",
        "data:,aGk=",
        "data:image/png,aGk=",
        "data:text/html;base64,aGk=",
        "data:image/;base64,aGk=",
        "data:image/png;base64",
        "data:image/png;" + "a=b;" * 200 + "base64,aGk=",
    ],
)
def test_another_form_is_refused(uri: str) -> None:
    with pytest.raises(ImageError, match=r"data:image/<type>;base64,<data>"):
        decode_data_uri(uri, max_bytes=100)


@pytest.mark.parametrize(
    "text", ["aGk", "aGk=\n", "a Gk=", "aGk=x", "%61Gk=", "aGk-", "====", "\N{EURO SIGN}GkK"]
)
def test_what_is_not_base64_is_refused(text: str) -> None:
    with pytest.raises(ImageError, match="not base64"):
        decode_data_uri(f"data:image/png;base64,{text}", max_bytes=100)


@pytest.mark.parametrize("size", [101, 102, 103, 104, 10_000_000])
def test_what_is_too_large_is_refused_unread(size: int) -> None:
    uri = "data:image/png;base64," + base64.b64encode(bytes(size)).decode()
    started = time.process_time()
    with pytest.raises(ImageError, match="larger than 100 bytes"):
        decode_data_uri(uri, max_bytes=100)
    assert time.process_time() - started < 0.05
