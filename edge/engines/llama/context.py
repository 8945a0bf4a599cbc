"""A context: the KV cache of a model's sequences, and the computing on it."""

import ctypes
from typing import Any

import llama_cpp as c
import numpy as np

from edge.engines.llama import native
from edge.engines.llama.model import Model
from edge.engines.llama.native import LlamaError

Floats = np.ndarray[Any, np.dtype[np.float32]]

NO_ROOM = 1
"""``llama_decode``: there is no place in the KV cache for the batch; nothing has changed."""


class NoKvRoom(LlamaError):
    """The KV cache has no place for the batch. The context is as it was."""


class Context:
    """A KV cache and its compute buffers. Owned by one thread.

    Raises:
        LlamaError: there is no memory for it.
    """

    def __init__(self, model: Model, params: c.llama_context_params) -> None:
        self.model = model
        self._params = params
        handle = c.llama_init_from_model(model.handle, params)
        if not handle:
            raise LlamaError(f"a context of {params.n_ctx} tokens cannot be made")
        self.handle = handle
        self.memory = c.llama_get_memory(handle)
        self.batch_size: int = c.llama_n_batch(handle)
        self.sequence_tokens: int = c.llama_n_ctx_seq(handle)
        """How many tokens one sequence can hold."""

    def clear(self) -> None:
        """Forget every sequence."""
        if self.memory:
            c.llama_memory_clear(self.memory, False)

    def decode(self, batch: c.llama_batch) -> None:
        """Run one batch.

        Raises:
            NoKvRoom: there is no place for it.
            LlamaError: llama.cpp reports a failure; the context must be cleared before its next use.
        """
        status = c.llama_decode(self.handle, batch)
        if status == NO_ROOM:
            raise NoKvRoom("the KV cache is full")
        if status != 0:
            raise LlamaError(f"llama_decode failed with status {status}")

    def logits(self, rows: int) -> Floats:
        """Return the logits of the last batch's *rows* outputs, shape (rows, vocabulary), in its order.

        A view of the context's own buffer: it may be written to, and the next batch overwrites it.
        """
        address = native.get_logits(self.handle)
        if not address:
            raise LlamaError("the last batch has no outputs")
        pointer = ctypes.cast(address, ctypes.POINTER(ctypes.c_float))
        return np.ctypeslib.as_array(pointer, (rows, self.model.vocab_size))

    def forget(self, sequence: int, start: int = 0) -> None:
        """Drop the tokens of *sequence* from position *start* on."""
        native.memory_seq_rm(self.memory, sequence, start, -1)

    def share(self, source: int, target: int, tokens: int) -> None:
        """Give *target*, an empty sequence, the first *tokens* of *source*.

        Free with a KV cache that all sequences share; else all of *source*'s cells are copied.
        """
        if self._params.kv_unified:
            native.memory_seq_cp(self.memory, source, target, 0, tokens)
            return
        # A partial copy between separate caches fails an assertion, which ends the process.
        native.memory_seq_cp(self.memory, source, target, -1, -1)
        native.memory_seq_rm(self.memory, target, tokens, -1)

    def set_threads(self, decode: int, batch: int) -> None:
        """Set how many threads compute single tokens and larger batches."""
        c.llama_set_n_threads(self.handle, decode, batch)

    def close(self) -> None:
        c.llama_free(self.handle)
