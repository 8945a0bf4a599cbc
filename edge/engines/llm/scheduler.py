"""Decides what each step computes. Knows no model: tokens are numbers, and nothing here takes time.

A *sequence* is a prompt and what was drawn after it. A *slot* is a sequence id of llama.cpp with the tokens
that lie in the KV cache under it. A slot whose sequence has ended keeps its tokens: that is the prefix cache.
A new sequence takes over the slot that has most of its beginning, or shares those cells, and computes the
rest.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from edge.engines.llm.kv import KvLedger
from edge.engines.llm.step import Chunk, Forget, Output, Padding, Scheduled, Share, Step

MIN_SHARED = 32
"""A common beginning shorter than this is computed again rather than waited for."""

MAX_COPIES = 2
"""Beginnings copied between separate caches in one step while streams run: 8,192 cells take 14 ms."""

MIN_GAIN = 8
"""Nor are fewer tokens of a longer one. Waiting costs little: who computes it is in front anyway."""


@dataclass(slots=True)
class _Slot:
    tokens: list[int] = field(default_factory=list)
    scope: Hashable = None
    used: int = 0
    owner: Scheduled | None = None

    @property
    def idle(self) -> bool:
        return self.owner is None

    @property
    def computed(self) -> int:
        return len(self.tokens) if self.owner is None else self.owner.computed

    def common(self, sequence: Scheduled, limit: int) -> int:
        """Return how many first tokens of *sequence* this slot has or will have, at most *limit*."""
        if sequence.scope != self.scope:
            return 0
        tokens = self.tokens if self.owner is None else self.owner.tokens
        return common_prefix(tokens, sequence.tokens, limit)


class Scheduler:
    """Holds every sequence from its arrival to its end.

    *cells* is the size of the KV cache in tokens, *slots* how many sequences llama.cpp was told of, *running*
    how many of them may compute at once: no more than there are slots. *outputs* bounds how many rows of
    logits one step gives, *idle_cells* what the prefix cache may hold. Nothing longer than *cells* fits.
    Where slots have caches of their own, gaps of up to *widest_gap* between those that decode are padded.
    """

    def __init__(
        self,
        *,
        cells: int,
        slots: int,
        running: int,
        outputs: int,
        idle_cells: int,
        widest_gap: int = 0,
    ) -> None:
        self._ledger = KvLedger(cells, slots)
        self._slots = [_Slot() for _ in range(slots)]
        self._max_running = running
        self._outputs = outputs
        self._max_idle = idle_cells
        self._widest_gap = widest_gap
        self._separate = widest_gap > 0
        self._slot_cells = cells // slots
        self._waiting: list[Scheduled] = []
        self._running: list[Scheduled] = []
        self._clock = 0
        self._changes: list[Forget | Share] = []

    @property
    def waiting(self) -> Sequence[Scheduled]:
        return self._waiting

    @property
    def running(self) -> Sequence[Scheduled]:
        """In the order of admission."""
        return self._running

    @property
    def has_work(self) -> bool:
        """Whether there may be a step to plan."""
        return bool(self._waiting or self._running or self._changes)

    @property
    def decoding(self) -> bool:
        """Whether a sequence waits for nothing but its next token."""
        return any(sequence.decoding for sequence in self._running)

    @property
    def free_cells(self) -> int:
        """How many tokens have room, also in place of such as are only kept for reuse."""
        return self._ledger.free + self._droppable(None)

    def length(self, slot: int) -> int:
        """Return how many tokens of *slot* lie in the KV cache."""
        return self._ledger.length(slot)

    def add(self, sequence: Scheduled) -> None:
        self._waiting.append(sequence)

    def remove(self, sequence: Scheduled) -> None:
        """Take *sequence* out, whether it has ended or is wanted no more. What it computed may be reused."""
        if sequence.slot is None:
            self._waiting.remove(sequence)
            return
        self._running.remove(sequence)
        self._vacate(sequence)
        if self._max_idle < self._ledger.capacity:
            while self._droppable(None) > self._max_idle and self._drop_oldest():
                pass

    def clear(self) -> None:
        """Forget what is computed, after the KV cache was lost; sequences begin again."""
        for number, slot in enumerate(self._slots):
            self._ledger.truncate(number, 0)
            slot.tokens = []
            slot.owner = None
        for sequence in self._running:
            sequence.slot = None
            sequence.computed = 0
        self._waiting[:0] = self._running
        self._running.clear()
        self._changes.clear()

    def plan(self, prefill_budget: int) -> Step | None:
        """Return the next step, None if there is nothing to compute.

        Every sequence that only lacks its next token is in it, and up to *prefill_budget* tokens of prompts,
        in the order of admission. The step must then be carried out, and :meth:`commit` called.
        """
        self._clock += 1
        self._admit()
        decoding = [sequence for sequence in self._running if sequence.decoding]
        while decoding and not self._make_room(len(decoding)):
            self._preempt(self._running[-1])
            decoding = [sequence for sequence in self._running if sequence.decoding]
        chunks = [Chunk(sequence, sequence.computed, 1, "last", decoding=True) for sequence in decoding]
        chunks += self._prefill(prefill_budget, self._outputs - len(decoding), reserved=len(decoding))
        chunks.sort(key=lambda chunk: chunk.sequence.slot or 0)
        paddings = self._pad(chunks)
        if not chunks and self._running:
            # Prompts hold all the room among them: the youngest gives its part to the others.
            self._preempt(self._running[-1])
            return self.plan(prefill_budget)
        changes = tuple(self._changes)
        self._changes.clear()
        return Step(changes, tuple(chunks), paddings) if chunks or changes else None

    def commit(self, step: Step) -> None:
        """Take note that *step* has been computed."""
        for chunk in step.chunks:
            slot = chunk.sequence.slot
            assert slot is not None
            self._ledger.extend(slot, chunk.count)
            chunk.sequence.computed += chunk.count
            self._slots[slot].used = self._clock

    # Admission

    def _admit(self) -> None:
        blocked: set[int] = set()
        copies = 0
        while len(self._running) < self._max_running:
            sequence = self._next(blocked)
            if sequence is None:
                return
            limit = 0 if sequence.outputs_wanted else len(sequence.tokens) - 1
            source, shared = self._longest(sequence, limit)
            if self._will_share_more(sequence, limit, shared):
                blocked.add(id(sequence))
                continue
            if self._separate and source is not None and self._target(source, shared) != source:
                if shared < MIN_SHARED:
                    source, shared = None, 0
                elif copies == MAX_COPIES and self.decoding:
                    return
                else:
                    copies += 1
            if not self._place(sequence, source, shared):
                return
            self._waiting.remove(sequence)
            self._running.append(sequence)

    def _next(self, blocked: set[int]) -> Scheduled | None:
        """Return who waits longest among the callers with the fewest running sequences."""
        load: dict[Hashable, int] = {}
        for running in self._running:
            load[running.caller] = load.get(running.caller, 0) + 1
        candidates = [sequence for sequence in self._waiting if id(sequence) not in blocked]
        # Who had to give way to others has been running already.
        return min(candidates, key=lambda one: (not one.admitted, load.get(one.caller, 0)), default=None)

    def _longest(self, sequence: Scheduled, limit: int) -> tuple[int | None, int]:
        """Return the slot that has most of *sequence*'s beginning computed, and how much."""
        source, longest = None, 0
        for number, slot in enumerate(self._slots):
            shared = slot.common(sequence, min(limit, slot.computed))
            # Of two that have as much, the idle one: it can be taken over.
            if shared > longest or (shared == longest > 0 and slot.idle):
                source, longest = number, shared
        return source, longest

    def _will_share_more(self, sequence: Scheduled, limit: int, shared: int) -> bool:
        """Whether a running prompt is computing more of the same beginning."""
        worth = max(MIN_SHARED, shared + MIN_GAIN)
        return limit >= worth and any(
            slot.owner is not None and slot.owner.remaining > 1 and slot.common(sequence, limit) >= worth
            for slot in self._slots
        )

    def _place(self, sequence: Scheduled, source: int | None, shared: int) -> bool:
        """Give *sequence* a slot and the first *shared* tokens of *source*; return whether there is room."""
        target = self._target(source, shared)
        needed = len(sequence.tokens) - shared + len(self._running) + 1
        if self._ledger.free < needed:
            droppable = self._droppable(source)
            if source is not None and self._slots[source].idle and self._ledger.free + droppable < needed:
                target = source
            needed -= self._ledger.exclusive(target, shared) if target == source else 0
            if self._running and self._ledger.free + droppable < needed:
                return False
            while self._ledger.free < needed and self._drop_oldest(source):
                pass
        slot = self._slots[target]
        if target == source:
            self._truncate(target, shared)
        else:
            self._truncate(target, 0)
            if source is not None:
                self._changes.append(Share(source, target, shared))
                self._ledger.share(source, target, shared)
        slot.tokens, slot.scope, slot.owner, slot.used = [], sequence.scope, sequence, self._clock
        sequence.slot, sequence.computed = target, shared
        if not sequence.admitted:
            sequence.cached, sequence.admitted = shared, True
        return True

    def _target(self, source: int | None, shared: int) -> int:
        """Return the slot that a new sequence gets: the source, an empty one, or the one used longest ago.

        A source that has much more than what is shared is left to others while there is another slot.
        """
        idle = [number for number, slot in enumerate(self._slots) if slot.idle]
        if source in idle and self._ledger.length(source) - shared <= MIN_SHARED:
            return source
        others = [number for number in idle if number != source] or idle
        return min(
            others, key=lambda number: (self._ledger.length(number) > 0, self._slots[number].used, number)
        )

    def _droppable(self, keep: int | None) -> int:
        return self._ledger.released(
            number for number, slot in enumerate(self._slots) if slot.idle and number != keep
        )

    def _drop_oldest(self, keep: int | None = None) -> bool:
        """Forget the idle slot that was used longest ago; return whether there was one."""
        idle = [
            number
            for number, slot in enumerate(self._slots)
            if slot.idle and number != keep and self._ledger.length(number)
        ]
        if not idle:
            return False
        self._truncate(min(idle, key=lambda number: self._slots[number].used), 0)
        return True

    def _truncate(self, number: int, tokens: int) -> None:
        if self._ledger.length(number) > tokens:
            self._changes.append(Forget(number, tokens))
            self._ledger.truncate(number, tokens)
        del self._slots[number].tokens[tokens:]

    # Steps

    def _prefill(self, budget: int, outputs: int, *, reserved: int) -> list[Chunk]:
        chunks = []
        for sequence in self._running:
            if sequence.decoding:
                continue
            count = min(budget, sequence.remaining)
            if sequence.outputs_wanted:
                count = min(count, outputs)
            while self._ledger.free - reserved < count and self._drop_oldest():
                pass
            count = min(count, self._ledger.free - reserved)
            if count <= 0 or outputs <= 0:
                break
            whole = count == sequence.remaining
            output: Output = "all" if sequence.outputs_wanted else "last" if whole else "none"
            chunks.append(Chunk(sequence, sequence.computed, count, output, decoding=False))
            budget -= count
            reserved += count
            outputs -= count if sequence.outputs_wanted else int(whole)
        return chunks

    def _pad(self, chunks: Sequence[Chunk]) -> tuple[Padding, ...]:
        taken = {chunk.sequence.slot for chunk in chunks}
        decoding = [chunk.sequence.slot or 0 for chunk in chunks if chunk.decoding]
        return tuple(
            Padding(slot, self._ledger.length(slot))
            for slot in gaps(decoding, widest=self._widest_gap)
            if slot not in taken and self._ledger.length(slot) < self._slot_cells
        )

    def _make_room(self, tokens: int) -> bool:
        while self._ledger.free < tokens:
            if not self._drop_oldest():
                return False
        return True

    def _preempt(self, sequence: Scheduled) -> None:
        """Have *sequence* wait in front of all others, without what it has computed."""
        self._running.remove(sequence)
        self._truncate(self._vacate(sequence), 0)
        sequence.computed = 0
        self._waiting.insert(0, sequence)

    def _vacate(self, sequence: Scheduled) -> int:
        """Leave what *sequence* has computed in its slot, whose number is returned."""
        number = sequence.slot
        assert number is not None
        slot = self._slots[number]
        slot.tokens, slot.owner, slot.used = sequence.tokens[: sequence.computed], None, self._clock
        sequence.slot = None
        return number


def gaps(slots: Sequence[int], *, widest: int) -> list[int]:
    """Return the slots that are missing between neighbours of the ascending *slots*, in gaps up to *widest*.

    llama.cpp computes sequences with separate caches together only if their ids follow one another. Filling a
    small gap with a token that nobody needs costs less than computing in two parts.
    """
    return [
        missing
        for before, after in pairwise(slots)
        if after - before - 1 <= widest
        for missing in range(before + 1, after)
    ]


def common_prefix(first: Sequence[int], second: Sequence[int], limit: int) -> int:
    """Return how many leading tokens both have, at most *limit*."""
    limit = min(limit, len(first), len(second))
    start, size = 0, 64
    while start < limit:
        end = min(start + size, limit)
        if first[start:end] != second[start:end]:
            while first[start] == second[start]:
                start += 1
            return start
        start, size = end, size * 2
    return limit
