"""A schema as the caller sent it: its limits, its references, and a :class:`Source` for each part of it."""

import re
from collections.abc import Iterator, Mapping
from itertools import count
from typing import Any
from urllib.parse import unquote

from edge.engines.llm.json_schema.alternatives import ANY, Node, Source
from edge.engines.llm.json_schema.errors import SchemaError, malformed, place, too_large, unsupported
from edge.engines.llm.json_schema.keywords import DRAFTS, is_schema

MAX_VALUES = 20_000
"""Objects, lists and scalars in a schema."""
MAX_DEPTH = 100
MAX_CHARACTERS = 200_000
"""Characters of all strings in a schema, names included."""


class Document:
    """Raises SchemaError if the schema is too large, holds what no JSON text can, or refers outside
    itself."""

    def __init__(self, root: Mapping[str, Any] | bool) -> None:
        self.root = root
        self._orders = count()
        self._sources: dict[int, Source] = {}
        self._anchors: dict[str, tuple[Any, str]] = {}
        self._id = ""
        self._never = Source(False, "", next(self._orders))
        self._measure()
        if isinstance(root, dict):
            draft = root.get("$schema", "")
            if draft and (not isinstance(draft, str) or _without_scheme(draft) not in DRAFTS):
                raise malformed("$schema", "", "a JSON Schema draft from draft-04 to 2020-12, or absent")
            self.is_draft4 = "draft-04" in draft
            identity = root.get("$id", root.get("id", ""))
            self._id = identity.rstrip("#") if isinstance(identity, str) else ""
        else:
            self.is_draft4 = False

    @property
    def never(self) -> Node:
        return frozenset({self._never})

    def node(self, schema: Mapping[str, Any] | bool, pointer: str) -> Node:
        """Return the node of one schema; *pointer* is told in errors."""
        if schema is True or schema == {}:
            return ANY
        if schema is False:
            return self.never
        source = self._sources.get(id(schema))
        if source is None:
            source = self._sources[id(schema)] = Source(schema, pointer, next(self._orders))
        return frozenset({source})

    def target(self, reference: str, pointer: str) -> Node:
        """Return what a ``$ref`` leads to."""
        local = reference.removeprefix(self._id) if self._id and reference != self._id else reference
        if reference == self._id and self._id:
            local = "#"
        if not local.startswith("#"):
            raise unsupported("$ref", pointer, f"leads out of the schema, to {reference[:100]!r}")
        fragment = unquote(local[1:])
        if fragment and not fragment.startswith("/"):
            found = self._anchors.get(fragment)
            if found is None:
                raise malformed(
                    "$ref", pointer, f"a place in the schema; there is no anchor {fragment[:100]!r}"
                )
            return self.node(*found)
        value: Any = self.root
        for step in fragment.split("/")[1:]:
            name = step.replace("~1", "/").replace("~0", "~")
            if isinstance(value, dict) and name in value:
                value = value[name]
            elif (
                isinstance(value, list) and re.fullmatch("0|[1-9][0-9]{0,5}", name) and int(name) < len(value)
            ):
                value = value[int(name)]
            else:
                raise malformed("$ref", pointer, f"a place in the schema; there is no {reference[:100]!r}")
        if not is_schema(value):
            raise malformed("$ref", pointer, f"a place that holds a schema, unlike {reference[:100]!r}")
        return self.node(value, fragment)

    def _measure(self) -> None:
        characters = 0
        for values, (value, pointer, depth) in enumerate(_walk(self.root), 1):
            if isinstance(value, dict):
                characters += sum(map(len, value))
                for keyword in ("$anchor", "$dynamicAnchor"):
                    if isinstance(value.get(keyword), str):
                        self._anchors.setdefault(value[keyword], (value, pointer))
                self._embedded(value, pointer)
                texts = list(value)
            else:
                texts = [value] if isinstance(value, str) else []
                characters += sum(map(len, texts))
            if characters <= MAX_CHARACTERS and any(map(_has_surrogate, texts)):
                raise SchemaError(
                    f"the schema holds a lone surrogate at #{pointer[:300]}, which no JSON text can hold"
                )
            if depth > MAX_DEPTH:
                raise too_large(f"nests deeper than {MAX_DEPTH}", f"{MAX_DEPTH} levels")
            if values > MAX_VALUES or characters > MAX_CHARACTERS:
                raise too_large("is too long", f"{MAX_VALUES:,} values and {MAX_CHARACTERS:,} characters")

    def _embedded(self, value: Mapping[str, Any], pointer: str) -> None:
        """Note the anchors of older drafts, ``"$id": "#name"``, and refuse schemas with an address of their
        own."""
        identity = value.get("$id")
        if not isinstance(identity, str) or not pointer or _IN_A_VALUE.search(pointer):
            return
        if not identity.startswith("#"):
            raise unsupported("$id", pointer, "gives a part of the schema an address of its own")
        self._anchors.setdefault(identity[1:], (value, pointer))


_IN_A_VALUE = re.compile(r"/(const|enum|default|examples?)(/|$)")


def _without_scheme(uri: str) -> str:
    return uri.removeprefix("https://").removeprefix("http://").removesuffix("#")


def _has_surrogate(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False


def _walk(root: Any) -> Iterator[tuple[Any, str, int]]:
    pending: list[tuple[Any, str, int]] = [(root, "", 1)]
    while pending:
        value, pointer, depth = pending.pop()
        yield value, pointer, depth
        if isinstance(value, dict):
            pending += ((inner, place(pointer, name), depth + 1) for name, inner in value.items())
        elif isinstance(value, list):
            pending += ((inner, place(pointer, i), depth + 1) for i, inner in enumerate(value))
