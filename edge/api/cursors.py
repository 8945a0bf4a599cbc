"""Where a page of a list ended."""

import base64
import binascii
from collections.abc import Sequence

import orjson

from edge.errors import InvalidField


def write_cursor(place: Sequence[str]) -> str:
    """Return the cursor of a page that ended at *place*, what its list is sorted by."""
    return base64.urlsafe_b64encode(orjson.dumps(list(place))).decode().rstrip("=")


def read_cursor(cursor: str | None, size: int) -> tuple[str, ...] | None:
    """Return the place that *cursor* tells, of *size* parts; None for no cursor.

    Raises:
        InvalidField: it is none of this list.
    """
    if cursor is None:
        return None
    try:
        place = orjson.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (binascii.Error, ValueError):
        place = None
    if not isinstance(place, list) or len(place) != size or not all(isinstance(part, str) for part in place):
        raise InvalidField(
            "cursor: send the next_cursor of the answer before, to the same list", param="cursor"
        )
    return tuple(place)
