"""The choices of one answer, as a worker makes them."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field

from edge.api.answer import Answer, usage
from edge.api.logprobs import Row, mean
from edge.api.responses import Usage
from edge.api.tool_calls import Calls
from edge.errors import WorkerFailed
from edge.workers.messages import Event, Generated, Text, ToolCall


@dataclass(slots=True)
class Choice:
    """What there is of one choice; ``end`` is None until it is finished."""

    parts: list[str] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)
    made_rows: int = 0
    """How many of the rows, the last ones, are of tokens that were made: those before are of the prompt."""
    calls: Calls = field(default_factory=Calls)
    end: Generated | None = None

    @property
    def text(self) -> str:
        return "".join(self.parts)

    @property
    def finish_reason(self) -> str:
        """Why it ended.

        Raises:
            WorkerFailed: it has not.
        """
        if self.end is None:
            raise WorkerFailed("The model's answer broke off")
        return self.end.finish_reason


class Choices:
    """The choices of one answer, filled event by event.

    Every *per_prompt* choices in a row continue the same prompt, whose tokens are counted once.
    """

    def __init__(self, count: int, per_prompt: int, answer: Answer) -> None:
        self._choices = [Choice() for _ in range(count)]
        self._unfinished = count
        self._per_prompt = per_prompt
        self._answer = answer

    def __len__(self) -> int:
        return len(self._choices)

    def __iter__(self) -> Iterator[Choice]:
        return iter(self._choices)

    def keep(self, index: int, event: Event) -> None:
        """Take in *event* of the choice *index* for a whole answer."""
        choice = self._choices[index]
        if isinstance(event, Text):
            choice.parts.append(event.text)
            if event.logprobs:
                choice.rows += event.logprobs
                choice.made_rows += len(event.logprobs) if event.tokens else 0
        elif isinstance(event, ToolCall):
            choice.calls.add(event)
        elif isinstance(event, Generated):
            self.finish(index, event)

    def finish(self, index: int, end: Generated) -> None:
        """Take note of the end of the choice *index*."""
        if self._choices[index].end is None:
            self._unfinished -= 1
        self._choices[index].end = end
        self._answer.note_times(end.queue_ms, end.inference_ms)

    @property
    def complete(self) -> bool:
        return self._unfinished == 0

    @property
    def usage(self) -> Usage:
        """Tokens so far, also those of choices that are not returned."""
        ends = [choice.end for choice in self._choices]
        prompts = [end for end in ends[:: self._per_prompt] if end is not None]
        return usage(
            sum(end.prompt_tokens for end in prompts),
            sum(end.completion_tokens for end in ends if end is not None),
            cached_tokens=sum(end.cached_tokens for end in prompts),
        )

    def likeliest(self, count: int) -> list[Choice]:
        """Return the *count* choices of each prompt whose tokens have the best mean log-probability."""
        best: list[Choice] = []
        for start in range(0, len(self), self._per_prompt):
            group = self._choices[start : start + self._per_prompt]
            best += sorted(group, key=_likelihood, reverse=True)[:count] if count < len(group) else group
        return best


def _likelihood(choice: Choice) -> float:
    """Return the mean log-probability of what was made, worst of all for an answer without text.

    The rows of an echoed prompt come before it.
    """
    return mean(choice.rows[-choice.made_rows :]) if choice.made_rows else -math.inf
