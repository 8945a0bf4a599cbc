"""What passes between the scheduler, which decides, and the engine, which carries out."""

from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Literal

Output = Literal["none", "last", "all"]


@dataclass(slots=True, eq=False)
class Scheduled:
    """One sequence as the scheduler sees it. ``tokens`` grows as they are drawn."""

    tokens: list[int]
    caller: Hashable = None
    scope: Hashable = None
    """Tokens are reused only within a scope: what computes them differently, such as an adapter."""
    outputs_wanted: bool = False
    """Every token gives logits, so nothing of it is taken from the cache."""
    slot: int | None = None
    computed: int = 0
    """How many of ``tokens`` lie in the KV cache."""
    cached: int = 0
    """How many of them were there when it was first admitted."""
    prompt_length: int = field(init=False)
    admitted: bool = False

    def __post_init__(self) -> None:
        self.prompt_length = len(self.tokens)

    @property
    def remaining(self) -> int:
        return len(self.tokens) - self.computed

    @property
    def decoding(self) -> bool:
        """Whether all but the token drawn last is computed."""
        return self.remaining == 1 and len(self.tokens) > self.prompt_length


@dataclass(frozen=True, slots=True)
class Forget:
    """Drop the tokens of *slot* from position *start* on."""

    slot: int
    start: int


@dataclass(frozen=True, slots=True)
class Share:
    """Give the empty slot *target* the first *tokens* of *source*."""

    source: int
    target: int
    tokens: int


@dataclass(frozen=True, slots=True)
class Chunk:
    """Compute ``tokens[start : start + count]`` of *sequence*."""

    sequence: Scheduled
    start: int
    count: int
    output: Output
    decoding: bool
    """Whether it is the token drawn last rather than a part of a prompt."""

    @property
    def outputs(self) -> int:
        """How many rows of logits it gives."""
        return {"none": 0, "last": 1, "all": self.count}[self.output]

    @property
    def finishes(self) -> bool:
        """Whether the next token can be drawn after it."""
        return self.start + self.count == len(self.sequence.tokens)


@dataclass(frozen=True, slots=True)
class Padding:
    """Compute a token that nobody needs at *position* of *slot*, and forget it again."""

    slot: int
    position: int


@dataclass(frozen=True, slots=True)
class Step:
    """What to do to the KV cache, in this order, and what to compute then in one batch, by slots."""

    changes: tuple[Forget | Share, ...]
    chunks: tuple[Chunk, ...]
    paddings: tuple[Padding, ...] = ()

    @property
    def prefill_tokens(self) -> int:
        return sum(chunk.count for chunk in self.chunks if not chunk.decoding)
