"""JSON in and out of both services, by orjson."""

from typing import Any

import orjson
from starlette.responses import Response

JSON_CONTENT_TYPE = "application/json"


def encode(value: Any) -> bytes:
    """Return *value* as UTF-8 JSON. Numpy scalars and arrays are written as numbers and lists."""
    return orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY)


class JsonResponse(Response):
    media_type = JSON_CONTENT_TYPE

    def render(self, content: Any) -> bytes:
        return encode(content)
