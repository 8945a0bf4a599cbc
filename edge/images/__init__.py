"""Images that callers send, as a model's projector may be given them."""

from edge.images.data_uri import decode_data_uri
from edge.images.errors import ImageError
from edge.images.header import Header, read_header
from edge.images.source import ImageSource

__all__ = ["Header", "ImageError", "ImageSource", "decode_data_uri", "read_header"]
