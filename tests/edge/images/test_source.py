import base64

import pytest

from edge.images import ImageError, ImageSource
from edge.outbound import OutboundClient
from tests.edge.images.files import png
from tests.edge.outbound.servers import reply, resolving, serving

pytestmark = pytest.mark.anyio


def data_uri(data: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(data).decode()


async def test_a_data_uri_is_the_image() -> None:
    assert await ImageSource(OutboundClient(), max_bytes=1000).read(data_uri(png())) == png()


async def test_an_image_of_the_web_is_fetched() -> None:
    async with serving(reply(png())) as server:
        client = OutboundClient(
            resolve=resolving(a=["127.0.0.1"]), allow=lambda _address: True, ports={server.port}
        )
        assert (
            await ImageSource(client, max_bytes=1000).read(f"http://a.example:{server.port}/a.png") == png()
        )


@pytest.mark.parametrize(
    ("url", "says"),
    [
        (data_uri(b"no image"), "not a PNG"),
        (data_uri(png(10_000, 4_001)), "10000 by 4001 pixels"),
        (data_uri(png() + bytes(1000)), "larger than 1000 bytes"),
        ("http://localhost/a.png", "not on the public internet"),
        ("a.png", "only http and https"),
        ("", "only http and https"),
    ],
)
async def test_what_no_model_can_be_given_is_refused(url: str, says: str) -> None:
    with pytest.raises(ImageError, match=says):
        await ImageSource(OutboundClient(), max_bytes=1000).read(url)


async def test_pixels_up_to_the_bound_are_taken() -> None:
    assert await ImageSource(OutboundClient(), max_bytes=1000).read(data_uri(png(10_000, 4_000)))
