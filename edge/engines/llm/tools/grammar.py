"""Grammars for function calls, in llguidance's dialect of Lark.

A grammar is the markup that the model was trained on, character for character, around arguments that are
held to each function's schema. Where a marker is a token of its own, either spelling is taken.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from edge.engines.llm.json_schema import json_rules

MAX_CALLS = 16
"""Calls in one forced answer. Small models would otherwise go on until their context is full."""

THOUGHTS = ("<think>", "</think>")

Schema = dict[str, Any]

CACHED_SCHEMAS = 512
"""Schemas whose rules are kept: callers send the same tools with every turn of a chat."""


@dataclass(frozen=True, slots=True)
class Function:
    """A function that may be called; ``arguments`` is an expression for them."""

    name: str
    arguments: str


@lru_cache(CACHED_SCHEMAS)
def _rules(schema: str, root: str) -> str:
    return json_rules(json.loads(schema), root)


def literal(text: str) -> str:
    """Return *text* as Lark writes a string."""
    return json.dumps(text)


class GrammarBuilder:
    """Collects the rules of one grammar. *tokens* has the ids of the markers that are tokens of their own."""

    def __init__(self, tokens: Mapping[str, int], *, parallel: bool) -> None:
        self.parallel = parallel
        self._tokens = tokens
        self._rules = ["%llguidance {}"]

    def rule(self, name: str, body: str) -> str:
        """Define *name* as *body* and return *name*."""
        self._rules.append(f"{name}: {body}")
        return name

    def choice(self, name: str, functions: Sequence[Function], before: str, after: str) -> str:
        """Define *name* as a call of one of *functions*, and return *name*.

        *before* and *after* stand around the function's name; then come its arguments.
        """
        calls = [f"{literal(before + each.name + after)} {each.arguments}" for each in functions]
        return self.rule(name, " | ".join(calls))

    def marker(self, text: str) -> str:
        """Return an expression for a marker of the markup."""
        token = self._tokens.get(text)
        return literal(text) if token is None else f"(<[{token}]> | {literal(text)})"

    def arguments(self, name: str, schema: Schema | None) -> str:
        """Define *name* as arguments that are valid under *schema*, ``{}`` if it is None, and return *name*.

        Raises:
            SchemaError: the schema cannot be enforced.
        """
        if schema is None:
            return self.rule(name, literal("{}"))
        self._rules.append(_rules(json.dumps(schema), name))
        return name

    def several(self, call: str, separator: str) -> str:
        """Return an expression for *call*, and for more of them after *separator* if they may be parallel."""
        if not self.parallel:
            return call
        between = f"{literal(separator)} " if separator else ""
        return f"{call} ({between}{call}){{0,{MAX_CALLS - 1}}}"

    def text_until(self, marker: str) -> str:
        """Return an expression for any text that ends with the first *marker*."""
        self.rule("opener[lazy]", f"TEXT {literal(marker)}")
        token = self._tokens.get(marker)
        return f"{self._thoughts()} " + ("opener" if token is None else f"(opener | TEXT <[{token}]>)")

    def text(self) -> str:
        """Return an expression for any text."""
        return f"{self._thoughts()} TEXT"

    def _thoughts(self) -> str:
        ids = [str(self._tokens[text]) for text in THOUGHTS if text in self._tokens]
        return f"(TEXT <[{','.join(ids)}]>)*" if ids else ""

    def build(self, start: str) -> str:
        """Return the grammar whose texts *start* describes."""
        return "\n".join([*self._rules, f"start: {start}", r"TEXT: /(?s:.*)/", ""])
