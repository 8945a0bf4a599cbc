"""The answers of chat and completions, whole or in chunks."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import Any

from edge.api.answer import Answer
from edge.api.choices import Choice, Choices
from edge.workers.messages import Event, Generated, Text, ToolCall
from shared.errors import ApiError


class TextShape(ABC):
    """What chat and completions have in common.

    The last chunk of all carries usage, metadata and routing. A chunk never holds the key ``error``
    unless it is one.
    """

    object_name: str
    chunk_name: str

    def __init__(self, answer: Answer, choices: Choices, *, include_usage: bool = False) -> None:
        self._answer = answer
        self._choices = choices
        self._include_usage = include_usage

    @abstractmethod
    def choice(self, index: int, choice: Choice) -> dict[str, Any]:
        """Return one element of a whole answer's ``choices``."""

    @abstractmethod
    def text(self, index: int, event: Text) -> dict[str, Any] | None:
        """Return the element of a chunk's ``choices`` that tells *event*, or None where there is nothing to
        tell."""

    @abstractmethod
    def end(self, index: int, finish_reason: str) -> dict[str, Any]:
        """Return the last, empty element of the choice *index*."""

    def call(self, _index: int, _event: ToolCall) -> Iterable[dict[str, Any]]:
        """Return the elements that tell *event*."""
        return ()

    def whole(self, kept: Iterable[Choice]) -> dict[str, Any]:
        """Return the answer to a request that is not streamed: the choices in *kept*.

        Raises:
            WorkerFailed: a choice has no end.
        """
        choices = [self.choice(index, choice) for index, choice in enumerate(kept)]
        return self._object(self.object_name, choices) | self._measures()

    def opening(self) -> Iterable[dict[str, Any]]:
        return ()

    def feed(self, index: int, event: Event) -> Iterable[dict[str, Any]]:
        if isinstance(event, Text):
            element = self.text(index, event)
            return () if element is None else (self.chunk((element,)),)
        if isinstance(event, ToolCall):
            return [self.chunk((element,)) for element in self.call(index, event)]
        if isinstance(event, Generated):
            return (self._last(index, event),)
        return ()

    def _last(self, index: int, event: Generated) -> dict[str, Any]:
        self._choices.finish(index, event)
        chunk = self.chunk((self.end(index, event.finish_reason),))
        return chunk | self._measures() if self._choices.complete else chunk

    def closing(self) -> Iterable[dict[str, Any]]:
        if self._include_usage:
            yield self.chunk(()) | {"usage": self._choices.usage}

    def failure(self, error: ApiError) -> dict[str, Any]:
        return {"error": error.body()["error"]}

    def chunk(self, choices: Sequence[dict[str, Any]]) -> dict[str, Any]:
        return self._object(self.chunk_name, choices)

    def _object(self, name: str, choices: Sequence[dict[str, Any]]) -> dict[str, Any]:
        return {
            "id": self._answer.id,
            "object": name,
            "created": self._answer.created,
            "model": self._answer.model,
            "choices": choices,
        }

    def _measures(self) -> dict[str, Any]:
        return {
            "usage": self._choices.usage,
            "pg_metadata": self._answer.metadata,
            "routing": self._answer.routing,
        }
