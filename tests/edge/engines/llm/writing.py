"""Writes under a constraint as a model would that draws at random: what comes out must be valid JSON."""

import json
import random
from typing import Any

import jsonschema
import numpy as np
import orjson

from edge.engines.llama import Model
from edge.engines.llm.constraint import Constraint, Constraints

CLOSERS = frozenset(b'"}]')
"""Bytes that bring a value to its end."""


class Writer:
    def __init__(self, model: Model) -> None:
        self.model = model
        self.pieces = model.pieces
        self.constraints = Constraints(model)
        self.ends = [token for token in range(model.vocab_size) if model.is_end(token)]
        self._closes = np.array([bool(piece) and set(piece) <= CLOSERS for piece in self.pieces])
        self._lengths = np.array([len(piece) or 99 for piece in self.pieces])

    def tokens(self, text: str) -> list[int]:
        return self.model.tokenize(text, add_special=False, parse_special=False)

    def accepts(self, schema: dict[str, Any] | bool, text: str) -> bool:
        """Whether *text*, token by token, is allowed under *schema* and whole at its end."""
        constraint = self.constraints.json(schema, param="response_format")
        return self.follows(constraint, text)

    def follows(self, constraint: Constraint, text: str) -> bool:
        for token in self.tokens(text):
            if not constraint.allows(token):
                return False
            constraint.advance(token)
        return constraint.complete

    def write(
        self, constraint: Constraint, dice: random.Random, *, hurry: int = 25, limit: int = 600
    ) -> bytes:
        """Draw allowed tokens until the text is whole; after *hurry* tokens those that bring it to an end."""
        text = b""
        for drawn in range(limit):
            if constraint.exhausted or (constraint.complete and (drawn > hurry or dice.random() < 0.2)):
                return text
            allowed = constraint.mask()
            allowed[self.ends] = False
            if drawn > hurry:
                closing = allowed & self._closes
                shortest = allowed & (self._lengths == self._lengths[allowed].min())
                # a closer may be a mere character of a string whose pattern asks for something else
                allowed = closing if closing.any() and dice.random() < 0.7 else shortest
            token = int(dice.choice(np.flatnonzero(allowed)))
            assert constraint.allows(token)
            constraint.advance(token)
            text += self.pieces[token]
        raise AssertionError(f"not whole after {limit} tokens: {text!r}")


def valid(schema: dict[str, Any] | bool, text: bytes) -> Any:
    """Return the value of *text*; fail unless every parser takes it and it is valid under *schema*."""
    value = json.loads(text.decode("utf-8"), parse_constant=_refuse)
    orjson.loads(text)
    checker = jsonschema.Draft202012Validator.FORMAT_CHECKER
    jsonschema.Draft202012Validator(schema, format_checker=checker).validate(value)
    return value


def _refuse(constant: str) -> None:
    raise AssertionError(f"{constant} is no JSON")
