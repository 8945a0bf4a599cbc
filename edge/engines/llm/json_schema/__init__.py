"""JSON Schema as grammar rules: whatever they write is valid under the whole schema, or the schema is
refused.

The way of a schema: a :class:`Document` knows its parts and references, an :class:`Expansion` turns each part
into alternatives of one JSON type, :class:`Reach` drops what no finite value fits, and a :class:`Writer`
writes the rest as rules for llguidance. What it writes is a part of what the schema allows where validators
disagree or a number would not survive parsing: see ``pattern``, ``formats`` and ``numbers``.
"""

import re
from collections.abc import Mapping
from typing import Any

from edge.engines.llm.json_schema.document import Document
from edge.engines.llm.json_schema.errors import SchemaError
from edge.engines.llm.json_schema.expansion import Expansion
from edge.engines.llm.json_schema.probe import Probe, TooComplex
from edge.engines.llm.json_schema.reach import Reach, may_fit
from edge.engines.llm.json_schema.terminals import Terminals
from edge.engines.llm.json_schema.writer import Writer

__all__ = ["SchemaError", "json_rules", "rule_depth"]


def json_rules(schema: Mapping[str, Any] | bool, root: str = "root") -> str:
    """Return rules in llguidance's Lark dialect for the JSON texts that are valid under *schema*.

    The rule *root* is the value; the names of all others begin with that name, those of terminals in upper
    case, so that several schemas fit in one grammar. *root* is made of lower-case letters, digits and
    underscores, a letter first. The texts are JSON to every parser: no lone surrogate, no number that
    overflows, no white space but one space after a colon or a comma.

    Raises:
        SchemaError: the schema is malformed, too large, satisfied by nothing, or has a keyword that cannot
            be enforced; the message names the keyword and its place.
    """
    if not re.fullmatch("[a-z][a-z0-9_]*", root):
        raise ValueError(f"{root!r} is no name of a rule")
    if not isinstance(schema, dict | bool):
        raise SchemaError("a schema is an object, true or false")
    try:
        return _rules(Document(schema), root)
    except TooComplex:
        raise SchemaError(
            "the patterns of the schema are too complex to be enforced; make them simpler"
        ) from None


def _rules(document: Document, root: str) -> str:
    expansion = Expansion(document, Probe(), may_fit)
    terminals = Terminals(expansion)
    node = document.node(document.root, "")
    reach = Reach(node, expansion, terminals)
    if not reach.is_live(node):
        raise SchemaError("the schema contradicts itself: no value can satisfy it")
    return Writer(root, expansion, terminals, reach).write(node)


_WORDS = re.compile(r'"(?:\\.|[^"\\])*"|/(?:\\.|[^/\\\n])+/|[a-z][a-z0-9_]*|\n(?=[a-z!?_])|%json[^\n]*')


def rule_depth(grammar: str) -> int:
    """Return how deep a compiler goes that follows every reference of a Lark grammar when it first meets
    it."""
    rules: dict[str, list[str]] = {}
    fresh = True
    body: list[str] = []
    for match in _WORDS.finditer("\n" + grammar):
        word = match[0]
        if word == "\n":
            fresh = True
        elif word[0] in '"/%':
            continue
        elif fresh:
            body = rules.setdefault(word, [])
            fresh = False
        else:
            body.append(word)
    deepest = 0
    seen = {"start"}
    pending = [("start", iter(rules.get("start", ())))]
    while pending:
        deepest = max(deepest, len(pending))
        for name in pending[-1][1]:
            if name in rules and name not in seen:
                seen.add(name)
                pending.append((name, iter(rules[name])))
                break
        else:
            pending.pop()
    return deepest
