"""Which inputs of the waiting requests share a step."""

from collections import deque
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Slot(Generic[K]):
    """The place of one input in a step."""

    request: K
    index: int


@dataclass(slots=True)
class _Turn(Generic[K]):
    request: K
    sizes: Sequence[int]
    next: int = 0
    credit: int = 0


class StepPacker(Generic[K]):
    """Deficit round robin over requests, as M. Shreedhar and G. Varghese give it for network queues (1995).

    At each of its turns a request may spend *quantum* tokens more, and keeps what it does not spend as long
    as it has inputs. So requests advance alike in tokens, and thereby in computing time, however many inputs
    each has and however long they are. While two of them wait, the tokens that they got never differ by more
    than twice the longest input and a quantum.

    A step takes at most *max_inputs* inputs and *max_tokens* tokens, or one input that is longer than that.
    """

    def __init__(self, *, max_tokens: int, max_inputs: int, quantum: int) -> None:
        if min(max_tokens, max_inputs, quantum) < 1:
            raise ValueError("every bound of a step must be positive")
        self._max_tokens = max_tokens
        self._max_inputs = max_inputs
        self._quantum = quantum
        self._ring: deque[_Turn[K]] = deque()
        self._first_was_paid = False

    def __len__(self) -> int:
        """How many requests wait."""
        return len(self._ring)

    def add(self, request: K, sizes: Sequence[int]) -> None:
        """Let *request* wait at the end of the ring with inputs of these *sizes* in tokens, at least one."""
        if not sizes or min(sizes) < 1:
            raise ValueError("a request has inputs and each of them tokens")
        self._ring.append(_Turn(request, sizes))

    def remove(self, request: K) -> None:
        """Forget *request* if it waits."""
        if self._ring and self._ring[0].request == request:
            self._first_was_paid = False
        self._ring = deque(turn for turn in self._ring if turn.request != request)

    def pack(self) -> list[Slot[K]]:
        """Return the inputs of the next step, each request's in their order; none only if nobody waits."""
        step: list[Slot[K]] = []
        tokens = 0
        while self._ring and len(step) < self._max_inputs:
            turn = self._ring[0]
            if not self._first_was_paid:
                turn.credit += self._quantum
                self._first_was_paid = True
            size = turn.sizes[turn.next]
            if size > turn.credit:
                self._pass()
                continue
            if step and tokens + size > self._max_tokens:
                break  # it opens the next step; a shorter input further back does not overtake it
            step.append(Slot(turn.request, turn.next))
            tokens += size
            turn.credit -= size
            turn.next += 1
            if turn.next == len(turn.sizes):
                self._ring.popleft()
                self._first_was_paid = False
        return step

    def _pass(self) -> None:
        self._ring.rotate(-1)
        self._first_was_paid = False
