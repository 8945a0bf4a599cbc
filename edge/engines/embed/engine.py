"""Embeddings on llama.cpp."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import llama_cpp as c
import numpy as np

from edge.engines.base import InvalidRequest, Job, SerialEngine
from edge.engines.llama import Batch, Context, Model
from edge.workers.messages import Embed, Vectors

MAX_SEQUENCES = 16
"""Inputs per step: enough to fill the batch with short texts."""


class EmbedEngine(SerialEngine):
    """Answers ``Embed`` with one ``Vectors``. Several short inputs share a step."""

    def __init__(self, model: Model, *, context_tokens: int, threads: int) -> None:
        self._model = model
        self._input_tokens = min(context_tokens, model.train_context)
        params = c.llama_context_default_params()
        # An encoder sees a whole input at once, so one micro-batch must hold the longest one.
        params.n_ctx = params.n_batch = params.n_ubatch = self._input_tokens
        params.n_seq_max = MAX_SEQUENCES
        params.kv_unified = True
        params.n_threads = params.n_threads_batch = threads
        params.embeddings = True
        self._context = Context(model, params)
        self._batch = Batch(self._input_tokens)
        super().__init__()

    @property
    def info(self) -> dict[str, Any]:
        return {
            "context_tokens": self._input_tokens,
            "dimensions": self._model.embedding_size,
            "parameters": self._model.parameters,
        }

    def run(self, job: Job) -> None:
        request = job.request
        if not isinstance(request, Embed):
            raise InvalidRequest("This model makes embeddings", param="model")
        started = time.perf_counter()
        inputs = [self._tokens(item, index) for index, item in enumerate(request.inputs)]
        vectors: list[np.ndarray[Any, np.dtype[np.float32]]] = []
        group: list[list[int]] = []
        for tokens in inputs:
            if len(group) == MAX_SEQUENCES or sum(map(len, group)) + len(tokens) > self._input_tokens:
                job.check()
                vectors += self._embed(group)
                group = []
            group.append(tokens)
        vectors += self._embed(group)
        job.emit(
            Vectors(
                data=np.concatenate(vectors).astype("<f4").tobytes(),
                dimensions=self._model.embedding_size,
                prompt_tokens=sum(map(len, inputs)),
                queue_ms=(started - job.submitted) * 1000,
                inference_ms=(time.perf_counter() - started) * 1000,
            )
        )

    def _tokens(self, item: str | list[int], index: int) -> list[int]:
        if isinstance(item, str):
            if len(item) > self._input_tokens * self._model.longest_piece:
                raise self._too_long(index, f"{len(item)} characters")
            tokens = self._model.tokenize(item, add_special=True, parse_special=False)
        else:
            tokens = item
            if any(not 0 <= token < self._model.vocab_size for token in tokens):
                raise InvalidRequest(
                    f"input {index} holds a token id outside 0 to {self._model.vocab_size - 1}", param="input"
                )
        if not tokens:
            raise InvalidRequest(f"input {index} holds no text", param="input")
        if len(tokens) > self._input_tokens:
            raise self._too_long(index, f"{len(tokens)} tokens")
        return tokens

    def _too_long(self, index: int, size: str) -> InvalidRequest:
        return InvalidRequest(
            f"input {index} has {size} and the model takes {self._input_tokens} tokens; split it",
            param="input",
        )

    def _embed(self, group: list[list[int]]) -> list[np.ndarray[Any, np.dtype[np.float32]]]:
        """Return one unit-length float32 vector of shape (dimensions,) per token list."""
        self._batch.clear()
        self._context.clear()
        for sequence, tokens in enumerate(group):
            self._batch.add(tokens, position=0, sequence=sequence, output="all")
        self._context.decode(self._batch.native)
        vectors = []
        for sequence in range(len(group)):
            pooled = c.llama_get_embeddings_seq(self._context.handle, sequence)
            vector = np.ctypeslib.as_array(pooled, (self._model.embedding_size,)).astype(np.float32)
            vectors.append(vector / max(float(np.linalg.norm(vector)), 1e-12))
        return vectors


def load(files: Mapping[str, Path], options: Mapping[str, Any]) -> EmbedEngine:
    """Load the GGUF file of the role ``model``; options ``context_tokens`` and ``threads``."""
    model = Model(files["model"])
    return EmbedEngine(model, context_tokens=options["context_tokens"], threads=options["threads"])
