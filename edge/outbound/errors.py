"""Why something was not fetched."""


class OutboundError(Exception):
    """The message tells the caller what to change.

    It never tells what this edge's network looks like: which private address a name has, or what answers
    there.
    """
