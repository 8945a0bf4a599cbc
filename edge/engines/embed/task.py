"""A request on its way through the embedding engine."""

import time
from collections.abc import Callable

import numpy as np

from edge.engines.base import InvalidRequest, Job
from edge.engines.embed.encoder import Floats, unit
from edge.workers.messages import Embed, Vectors


class Task:
    """First its inputs are read into tokens, then their vectors come in, in any order.

    Raises:
        InvalidRequest: the job asks for something else, for nothing, or for more dimensions than there are.
    """

    def __init__(self, job: Job, *, dimensions: int) -> None:
        request = job.request
        if not isinstance(request, Embed):
            raise InvalidRequest("This model makes embeddings", param="model")
        if not request.inputs:
            raise InvalidRequest("input holds nothing", param="input")
        self.dimensions = dimensions if request.dimensions is None else request.dimensions
        if not 1 <= self.dimensions <= dimensions:
            raise InvalidRequest(f"dimensions is at most {dimensions} for this model", param="dimensions")
        self.job = job
        self.tokens: list[list[int]] = []
        self._inputs = request.inputs
        self._started: float | None = None
        self._missing = len(request.inputs)
        self._rows: Floats = np.zeros((len(request.inputs), self.dimensions), np.float32)

    def read(self, read: Callable[[str | list[int], int], list[int]], budget: int) -> bool:
        """Read inputs until *budget* characters or ids are spent; return whether all are read."""
        while len(self.tokens) < len(self._inputs) and budget > 0:
            item = self._inputs[len(self.tokens)]
            budget -= max(len(item), 1)
            self.tokens.append(read(item, len(self.tokens)))
        return len(self.tokens) == len(self._inputs)

    @property
    def sizes(self) -> list[int]:
        return [len(tokens) for tokens in self.tokens]

    def start(self) -> None:
        """Note that the wait is over: an input of it is about to be computed."""
        if self._started is None:
            self._started = time.perf_counter()

    def store(self, index: int, vector: Floats) -> bool:
        """Take the vector of input *index*; return whether none is missing any more."""
        self._rows[index] = unit(vector, self.dimensions)
        self._missing -= 1
        return self._missing == 0

    def answer(self) -> Vectors:
        now = time.perf_counter()
        started = now if self._started is None else self._started
        return Vectors(
            data=self._rows.astype("<f4", copy=False).tobytes(),
            dimensions=self.dimensions,
            prompt_tokens=sum(self.sizes),
            queue_ms=(started - self.job.submitted) * 1000,
            inference_ms=(now - started) * 1000,
        )
