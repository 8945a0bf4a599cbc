"""Embeddings on llama.cpp, many requests at once."""

import queue
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edge.engines.base import Cancelled, Job
from edge.engines.embed.encoder import Encoder
from edge.engines.embed.packing import Slot, StepPacker
from edge.engines.embed.task import Task
from edge.engines.llama import Model

STEP_TOKENS = 256
"""Tokens of a step, unless one input alone is longer. Every token looks at all others of its step, if only to
find most of them masked out: with MiniLM on one thread a token takes as long in steps of 128 as of 512, half
as long again in steps of 1,024 and three times as long in steps of 2,048. A longer step would only keep
newcomers waiting."""

STEP_INPUTS = 32
"""Inputs of a step: enough to fill it with texts of eight tokens."""

TURN_TOKENS = 64
"""What a request may spend at each of its turns: a step serves four or more requests if they wait."""

READ_CHARACTERS = 16_384
"""How much of each arriving request is read between two steps: about 2 ms of tokenizing."""


class EmbedEngine:
    """Answers ``Embed`` with one ``Vectors`` of unit length.

    The inputs of all waiting requests share steps, in turns that are fair by tokens: see :class:`StepPacker`.
    A request is read to its end before any of it is computed, so a mistake in its last input costs nothing.
    A caller who leaves is out before the next step, and what is wrong with one request ends no other.

    An input attends to itself only, whatever shares its step; but llama.cpp picks its matrix kernels by the
    size of the step and they add up in another order. So the last bits of a vector depend on its company:
    with 16-bit weights by up to a thousandth of its length, which is a cosine above 0.999999.
    """

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder
        self._arrived: queue.SimpleQueue[Job] = queue.SimpleQueue()
        self._tasks: list[Task] = []
        self._unread: list[Task] = []
        self._packer: StepPacker[Task] = StepPacker(
            max_tokens=STEP_TOKENS, max_inputs=STEP_INPUTS, quantum=TURN_TOKENS
        )
        threading.Thread(target=self._serve, name=type(self).__name__, daemon=True).start()

    @property
    def info(self) -> dict[str, Any]:
        return {
            "context_tokens": self._encoder.input_tokens,
            "dimensions": self._encoder.dimensions,
            "parameters": self._encoder.parameters,
        }

    def submit(self, job: Job) -> None:
        self._arrived.put(job)

    def _serve(self) -> None:
        while True:
            try:
                self._turn()
            except Exception as error:  # noqa: BLE001 - the engine's own mistake must leave nobody waiting
                for task in self._tasks.copy():
                    self._end(task, error)

    def _turn(self) -> None:
        self._receive()
        for task in [task for task in self._tasks if task.job.cancelled]:
            self._end(task, Cancelled())
        for task in self._unread.copy():
            self._read(task)
        step = self._packer.pack()
        if step:
            self._compute(step)

    def _receive(self) -> None:
        """Take what has arrived; wait for it if there is nothing else to do."""
        while not self._tasks or not self._arrived.empty():
            job = self._arrived.get()
            try:
                job.check()
                task = Task(job, dimensions=self._encoder.dimensions)
            except Exception as error:  # noqa: BLE001 - it ends this job only
                job.finish(error)
            else:
                self._tasks.append(task)
                self._unread.append(task)

    def _read(self, task: Task) -> None:
        try:
            complete = task.read(self._encoder.read, READ_CHARACTERS)
        except Exception as error:  # noqa: BLE001 - it ends this request only
            self._end(task, error)
            return
        if complete:
            self._unread.remove(task)
            self._packer.add(task, task.sizes)

    def _compute(self, step: list[Slot[Task]]) -> None:
        for slot in step:
            slot.request.start()
        try:
            vectors = self._encoder.embed([slot.request.tokens[slot.index] for slot in step])
        except Exception as error:  # noqa: BLE001 - it ends the request whose input it is
            if len(step) == 1:
                self._end(step[0].request, error)
                return
            for slot in step:
                if slot.request in self._tasks:
                    self._compute([slot])
            return
        for slot, vector in zip(step, vectors, strict=True):
            if slot.request.store(slot.index, vector):
                slot.request.job.emit(slot.request.answer())
                self._end(slot.request)

    def _end(self, task: Task, error: Exception | None = None) -> None:
        self._tasks.remove(task)
        if task in self._unread:
            self._unread.remove(task)
        self._packer.remove(task)
        task.job.finish(error)


def load(files: Mapping[str, Path], options: Mapping[str, Any]) -> EmbedEngine:
    """Load the GGUF file of the role ``model``; options ``context_tokens`` and ``threads``."""
    encoder = Encoder(
        Model(files["model"]),
        context_tokens=options["context_tokens"],
        threads=options["threads"],
        max_inputs=STEP_INPUTS,
    )
    return EmbedEngine(encoder)
