"""One answer in the making."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from edge.engines.base import Job
from edge.engines.llama import Model
from edge.engines.llm.candidates import Floats, log_probabilities
from edge.engines.llm.constraint import Constraint
from edge.engines.llm.prompt import Prompt
from edge.engines.llm.sampling import Sampler
from edge.engines.llm.step import Scheduled
from edge.engines.llm.text import TextAssembler
from edge.engines.llm.tools import ToolParser
from edge.workers.messages import Generate, Generated, Text, ToolCall


@dataclass(frozen=True, slots=True)
class _Drawn:
    """A token of the answer: the character that its text begins at or goes on with, and its ``logprobs``."""

    start: int
    score: list[Any] | None


class Generation:
    """Takes the logits of one sequence, draws its tokens and tells its caller.

    ``scheduled`` is what the scheduler knows of it. *shown* has the bytes of control tokens that *parser*
    must see, and *echo* is text that goes before all that is drawn.
    """

    def __init__(
        self,
        job: Job,
        request: Generate,
        prompt: Prompt,
        *,
        model: Model,
        limit: int,
        constraint: Constraint | None,
        parser: ToolParser | None,
        shown: Mapping[int, bytes],
        echo: str,
    ) -> None:
        self.job = job
        scored = request.echo and request.logprobs is not None
        self.images = prompt.images
        self.scheduled = Scheduled(prompt.tokens.copy(), caller=request.caller, outputs_wanted=scored)
        self.sampler = Sampler(request, prompt.tokens, vocab_size=model.vocab_size, constraint=constraint)
        self.failures = 0
        """Steps with it that failed."""
        self._model = model
        self._limit = limit
        self._constraint = constraint
        self._parser = parser
        self._shown = shown
        self._assembler = TextAssembler(request.stop)
        self._top = request.logprobs
        self._made = 0
        self._echo = echo
        self._told = 0
        self._untold: list[_Drawn] = []
        self._scores = [self._score(prompt.tokens[0], None)] if scored else []
        self._started = 0.0

    @property
    def wants_logprobs(self) -> bool:
        return self._top is not None

    def start(self) -> None:
        """Take note that its first tokens are about to be computed."""
        self._started = self._started or time.perf_counter()

    def score(self, rows: Floats, first: int) -> None:
        """Take the logits after the prompt's tokens from number *first* on: one row for each."""
        prompt = self.scheduled.tokens[: self.scheduled.prompt_length]
        del self._scores[first + 1 :]  # it may have had to begin again
        for row, token in zip(rows, prompt[first + 1 :], strict=False):
            self._scores.append(self._score(token, row))

    def draw(self, logits: Floats) -> bool:
        """Draw a token from *logits*, which are overwritten; return whether it was the last one."""
        before = logits.copy() if self.wants_logprobs else logits
        return self.take(self.sampler.draw(logits), before)

    def take(self, token: int, logits: Floats) -> bool:
        """Take *token*, drawn from *logits*; return whether it was the last one."""
        self._made += 1
        if self._model.is_end(token):
            return self._end("stop")
        self.scheduled.tokens.append(token)
        score = self._score(token, logits) if self.wants_logprobs else None
        self._untold.append(_Drawn(self._assembler.decoded, score))
        self._tell(self._assembler.feed(self._shown.get(token) or self._model.pieces[token]))
        if self._assembler.stopped or (self._parser is not None and self._parser.complete):
            return self._end("stop")
        if self._constraint is not None and self._constraint.exhausted:
            return self._end("stop")
        return self._made >= self._limit and self._end("length")

    def end_without_drawing(self) -> bool:
        """End a generation that was asked for no token; return whether it was."""
        return self._limit == 0 and self._end("length")

    def _end(self, reason: str) -> bool:
        self._tell(self._assembler.finish(), last=True)
        called = self._parser is not None and self._parser.called
        self._measure("tool_calls" if called and reason == "stop" else reason, self.scheduled.prompt_length)
        return True

    def break_off(self) -> None:
        """Tell how much was done for a caller who has left: of the prompt, what was read of it."""
        if self._started:
            self._measure("cancelled", min(self.scheduled.computed, self.scheduled.prompt_length))

    def _measure(self, reason: str, prompt_tokens: int) -> None:
        now = time.perf_counter()
        self.job.emit(
            Generated(
                finish_reason=reason,
                prompt_tokens=prompt_tokens,
                completion_tokens=self._made,
                queue_ms=(self._started - self.job.submitted) * 1000,
                inference_ms=(now - self._started) * 1000,
                cached_tokens=min(self.scheduled.cached, prompt_tokens),
            )
        )

    def _tell(self, text: str, *, last: bool = False) -> None:
        self._told += len(text)
        if self._echo or self._scores:
            self.job.emit(Text(self._echo, logprobs=self._scores or None, made_at=time.perf_counter()))
            self._echo, self._scores = "", []
        events: Sequence[Text | ToolCall]
        if self._parser is None:
            # Tokens without text, such as control tokens, are told of at the end if not before.
            events = [Text(text)] if text or (last and self._certain()) else []
        else:
            events = self._parser.feed(text) if text else []
            if last:
                events = [*events, *self._parser.finish()]
        if not events:
            return
        certain, self._untold = self._certain(), []
        now = time.perf_counter()
        for number, event in enumerate(events):
            tokens = len(certain) if number == 0 else 0
            logprobs = [one.score for one in certain if one.score is not None] if number == 0 else None
            if isinstance(event, Text):
                event = replace(event, tokens=tokens, logprobs=logprobs or None, made_at=now)
            else:
                event = replace(event, tokens=tokens, made_at=now)
            self.job.emit(event)

    def _certain(self) -> list[_Drawn]:
        """Return the tokens that nobody was told of yet, less those whose text a stop string cut off."""
        if not self._assembler.stopped:
            return self._untold
        return [one for one in self._untold if one.start < self._told]

    def _score(self, token: int, logits: Floats | None) -> list[Any]:
        pieces = self._model.pieces
        if logits is None:
            return [token, pieces[token], None, []]
        own, best = log_probabilities(logits, token, self._top or 0)
        return [token, pieces[token], own, [[other, pieces[other], value] for other, value in best]]
