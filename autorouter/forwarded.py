"""The Forwarded header (RFC 7239)."""

import re

LINE_LIMIT = 8192
"""Longest line that is read, in characters: room for some eighty proxies."""

_PAIR = re.compile(
    r"""[ \t]*(?:
        ([!#$%&'*+.^_`|~0-9A-Za-z-]+)=              # a parameter's name, and its value:
        (?:"((?:[^"\\]|\\.)*)"|([^\s",;]*))         # quoted, or not; colons and brackets are let pass
    )?[ \t]*(;|,|\Z)""",
    re.VERBOSE,
)
_ESCAPED = re.compile(r"\\(.)")


def for_nodes(line: str) -> list[str | None]:
    """Return what each element of one Forwarded header says in ``for``, in the order of the header.

    None stands for an element without it. A line that is malformed or longer than LINE_LIMIT is one such
    element: whoever wrote into it may have meant to shift the meaning of what a proxy appended.
    """
    if len(line) > LINE_LIMIT:
        return [None]
    nodes: list[str | None] = []
    node: str | None = None
    at = 0
    while True:
        pair = _PAIR.match(line, at)
        if pair is None:
            return [None]
        name, quoted, token, end = pair.groups()
        if name is not None and name.lower() == "for":
            if node is not None:
                return [None]
            node = token if quoted is None else _ESCAPED.sub(r"\1", quoted)
        at = pair.end()
        if end != ";":
            nodes.append(node)
            node = None
        if end == "":
            return nodes
