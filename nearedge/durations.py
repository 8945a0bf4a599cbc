"""Lengths of time as people write them."""

import re
from datetime import timedelta

UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
LONGEST = timedelta(days=36_600)

_FORM = re.compile(r"([0-9]{1,10})([smhd]?)")


def parse_duration(text: str) -> timedelta:
    """Return what ``90``, ``90s``, ``15m``, ``12h`` or ``30d`` says; a number alone is of seconds.

    Raises:
        ValueError: it says no length of time, or more than a hundred years.
    """
    found = _FORM.fullmatch(text.strip())
    length = timedelta(seconds=int(found[1]) * UNITS[found[2] or "s"]) if found else None
    if length is None or length > LONGEST:
        raise ValueError(f"{text!r} is no length of time; write 90s, 15m, 12h or 30d")
    return length
