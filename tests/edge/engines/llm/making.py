"""Answers in the making, on a vocabulary of a few pieces."""

import codecs
from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import pytest

from edge.engines.base import Job
from edge.engines.llama import Model
from edge.engines.llm.candidates import Floats
from edge.engines.llm.constraint import Constraint
from edge.engines.llm.generation import Generation
from edge.engines.llm.prompt import Prompt
from edge.engines.llm.tools import HermesFormat
from edge.workers.messages import Event, Generate, Generated, Text, ToolCall

E_ACUTE = "é".encode()
EMOJI = "\N{GRINNING FACE}".encode()
PIECES = [
    b"",  # the end
    b"",  # a control token
    b"a",
    b"b",
    b"ab",
    b"ba b",
    b"c a",
    b" ",
    E_ACUTE,
    *(E_ACUTE[:1], E_ACUTE[1:]),
    *(EMOJI[:2], EMOJI[2:3], EMOJI[3:] + b"a"),
    b"a" + E_ACUTE[:1],
]
END, CONTROL = 0, 1


class Vocabulary:
    """A model as far as a generation asks one."""

    def __init__(self, pieces: Sequence[bytes] = PIECES) -> None:
        self.pieces = list(pieces)
        self.vocab_size = len(pieces)

    def is_end(self, token: int) -> bool:
        return token == END


class Exhausting:
    """A constraint that takes every token, and *tokens* of them."""

    def __init__(self, tokens: int) -> None:
        self._left = tokens

    def allows(self, token: int) -> bool:
        return self._left > 0

    def advance(self, token: int) -> None:
        self._left -= 1

    @property
    def exhausted(self) -> bool:
        return self._left == 0


class Making:
    """A generation and what its caller was told of it."""

    def __init__(
        self,
        *,
        prompt: Sequence[int] = (2, 3),
        limit: int = 100,
        echo_text: str = "",
        constraint: Exhausting | None = None,
        tools: Sequence[str] = (),
        parallel: bool = True,
        shown: dict[int, bytes] | None = None,
        pieces: Sequence[bytes] = PIECES,
        **fields: Any,
    ) -> None:
        self.events: list[Event] = []
        self.pieces = pieces
        request = Generate(**fields)
        self.job = Job(request, self.events.append, lambda error: None)
        offered = [{"name": name, "parameters": {"type": "object"}} for name in tools]
        self.generation = Generation(
            self.job,
            request,
            Prompt(list(prompt)),
            model=cast("Model", Vocabulary(pieces)),
            limit=limit,
            constraint=cast("Constraint | None", constraint),
            parser=HermesFormat().parser(offered, parallel=parallel) if tools else None,
            shown=shown or {},
            echo=echo_text,
        )
        self.generation.start()

    def take(self, tokens: Sequence[int]) -> int:
        """Take *tokens* until the generation ends; return how many were taken."""
        for number, token in enumerate(tokens):
            if self.generation.take(token, row(number, len(self.pieces))):
                return number + 1
        return len(tokens)

    @property
    def told(self) -> list[Text]:
        return [event for event in self.events if isinstance(event, Text)]

    @property
    def text(self) -> str:
        return "".join(event.text for event in self.told)

    @property
    def rows(self) -> list[list[Any]]:
        return [scored for event in self.told for scored in event.logprobs or []]

    @property
    def tokens(self) -> int:
        return sum(event.tokens for event in self.events if isinstance(event, Text | ToolCall))

    @property
    def end(self) -> Generated:
        ends = [event for event in self.events if isinstance(event, Generated)]
        assert ends == self.events[-1:]
        return ends[0]


def row(number: int, size: int = len(PIECES)) -> Floats:
    """Return the logits that token *number* of an answer is drawn from: others for each."""
    return np.random.default_rng(number).normal(0, 3, size).astype(np.float32)


def logarithms(logits: Floats) -> list[float]:
    exact = logits.astype(np.float64)
    return list(exact - np.log(np.exp(exact).sum()))


def expected_row(token: int, logits: Floats, top: int) -> list[Any]:
    known = logarithms(logits)
    best = sorted(range(len(known)), key=lambda other: -known[other])[:top]
    return [
        token,
        PIECES[token],
        pytest.approx(known[token], abs=1e-5),
        [[other, PIECES[other], pytest.approx(known[other], abs=1e-5)] for other in best],
    ]


def decoded(tokens: Sequence[int], *, final: bool = False) -> str:
    data = b"".join(PIECES[token] for token in tokens)
    return codecs.getincrementaldecoder("utf-8")("replace").decode(data, final)
