"""Where an image comes from: the URL itself, or the web."""

from edge.images.data_uri import decode_data_uri
from edge.images.errors import ImageError
from edge.images.header import read_header
from edge.outbound import OutboundClient, OutboundError

MAX_PIXELS = 40_000_000
"""Decoded to RGB that is 120 MB; a file of a few kilobytes can announce far more."""


class ImageSource:
    """Returns images of at most *max_bytes* each, as files whose header has been looked at."""

    def __init__(self, client: OutboundClient, *, max_bytes: int) -> None:
        self._client = client
        self._max_bytes = max_bytes

    async def read(self, url: str) -> bytes:
        """Return the image at *url*, a ``data:`` URI or one of http or https.

        Raises:
            ImageError: there is no image that a model can be given.
        """
        if url[:5].lower() == "data:":
            data = decode_data_uri(url, max_bytes=self._max_bytes)
        else:
            try:
                data = (await self._client.get(url, max_bytes=self._max_bytes, media="image")).data
            except OutboundError as error:
                raise ImageError(str(error)) from None
        header = read_header(data)
        if header.width * header.height > MAX_PIXELS:
            raise ImageError(f"it has {header.width} by {header.height} pixels; the most is {MAX_PIXELS}")
        return data
