"""``data:`` URIs (RFC 2397) that hold an image in base64."""

import binascii
import re

from edge.images.errors import ImageError

_HEAD = re.compile(r"data:image/[a-z0-9.+-]{1,64}(?:;[a-z0-9._-]{1,64}=[^;,]{0,64})*;base64", re.IGNORECASE)
_MAX_HEAD = 512


def decode_data_uri(uri: str, *, max_bytes: int) -> bytes:
    """Return the bytes of *uri*.

    Raises:
        ImageError: it is no image in base64, or larger than *max_bytes*.
    """
    comma = uri.find(",", 0, _MAX_HEAD)
    if comma < 0 or not _HEAD.fullmatch(uri, 0, comma):
        raise ImageError("give it as data:image/<type>;base64,<data>")
    if (len(uri) - comma - 1) // 4 * 3 > max_bytes + 3:
        raise ImageError(f"it is larger than {max_bytes} bytes")
    try:
        data = binascii.a2b_base64(uri[comma + 1 :], strict_mode=True)
    except ValueError as error:
        raise ImageError(f"its data is not base64: {error}".removesuffix(".")) from None
    if len(data) > max_bytes:
        raise ImageError(f"it is larger than {max_bytes} bytes")
    return data
