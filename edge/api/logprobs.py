"""Log-probabilities, from a worker's rows to the shapes of chats and of completions.

A row is ``[token id, bytes, logprob, [[token id, bytes, logprob], …]]``, as ``Text`` describes it.
"""

import codecs
from collections.abc import Iterable, Sequence
from typing import Any

from edge.api.responses import ChatLogprobs, TextLogprobs, TopLogprob

Row = Sequence[Any]

FLOOR = -9999.0
"""What OpenAI tells for a token that cannot come: JSON has no minus infinity."""


def chat_logprobs(rows: Iterable[Row]) -> ChatLogprobs:
    """Return *rows* in the shape of a chat."""
    return {
        "content": [
            {**_candidate(data, logprob), "top_logprobs": [_candidate(*other[1:]) for other in likeliest]}
            for _id, data, logprob, likeliest in rows
        ],
        "refusal": None,
    }


def _candidate(data: bytes, logprob: float | None) -> TopLogprob:
    return {"token": data.decode("utf-8", "replace"), "logprob": _known(logprob), "bytes": list(data)}


def _known(logprob: float | None) -> float:
    return FLOOR if logprob is None or not logprob > FLOOR else logprob


class TextOffsets:
    """Brings the rows of one choice of a completion, piece by piece, into its shape."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._characters = 0

    def shape(self, rows: Iterable[Row]) -> TextLogprobs:
        """Return the next *rows*; their ``text_offset`` goes on where the rows before ended."""
        shaped: TextLogprobs = {"tokens": [], "token_logprobs": [], "top_logprobs": [], "text_offset": []}
        for _id, data, logprob, likeliest in rows:
            shaped["tokens"].append(token_text(data))
            shaped["token_logprobs"].append(None if logprob is None else _known(logprob))
            shaped["top_logprobs"].append(None if logprob is None else _top(data, logprob, likeliest))
            shaped["text_offset"].append(self._characters)
            self._characters += len(self._decoder.decode(data))
        return shaped


def _top(data: bytes, logprob: float, likeliest: Iterable[Row]) -> dict[str, float]:
    top = {token_text(other): _known(value) for _id, other, value in likeliest}
    top.setdefault(token_text(data), _known(logprob))
    return top


def token_text(data: bytes) -> str:
    """Return a token's text, or ``bytes:`` and the escaped bytes of one that is not whole characters."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        return "bytes:" + "".join(f"\\x{byte:02x}" for byte in data)


def mean(rows: Sequence[Row]) -> float:
    """Return the mean log-probability of the tokens; that of none is 0."""
    known = [_known(row[2]) for row in rows if row[2] is not None]
    return sum(known) / len(known) if known else 0.0
