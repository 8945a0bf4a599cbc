"""A step's input."""

import ctypes
from collections.abc import Sequence
from typing import Any, Literal

import llama_cpp as c
import numpy as np

Int32s = np.ndarray[Any, np.dtype[np.int32]]


class Batch:
    """A ``llama_batch`` over arrays of our own, filled anew for every step; room for *capacity* tokens.

    Filling numpy arrays costs 2 µs for 16 tokens, where a ctypes assignment for each costs 8.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self._tokens: Int32s = np.zeros(capacity, np.int32)
        self._positions: Int32s = np.zeros(capacity, np.int32)
        self._sequences: Int32s = np.zeros(capacity, np.int32)
        self._outputs = np.zeros(capacity, np.int8)
        self._ones: Int32s = np.ones(capacity, np.int32)
        # Each token's list of sequences is one element of _sequences, so their addresses never change.
        addresses = np.uint64(self._sequences.ctypes.data) + np.arange(capacity, dtype=np.uint64) * 4
        self._lists = np.ascontiguousarray(addresses, np.uint64)
        self.native = c.llama_batch(
            n_tokens=0,
            token=_pointer(self._tokens, c.llama_token),
            embd=None,
            pos=_pointer(self._positions, c.llama_pos),
            n_seq_id=_pointer(self._ones, ctypes.c_int32),
            seq_id=_pointer(self._lists, ctypes.POINTER(c.llama_seq_id)),
            logits=_pointer(self._outputs, ctypes.c_int8),
        )
        self._length = 0

    def __len__(self) -> int:
        return self._length

    def clear(self) -> None:
        self._length = self.native.n_tokens = 0

    def add(
        self,
        tokens: Sequence[int],
        *,
        position: int,
        sequence: int,
        output: Literal["none", "last", "all"],
    ) -> None:
        """Append *tokens* of one sequence; *output* says which of them give logits or embeddings."""
        start, end = self._length, self._length + len(tokens)
        self._tokens[start:end] = tokens
        self._positions[start:end] = range(position, position + len(tokens))
        self._sequences[start:end] = sequence
        self._outputs[start:end] = output == "all"
        if output == "last":
            self._outputs[end - 1] = 1
        self._length = self.native.n_tokens = end


class EmbeddingBatch:
    """A ``llama_batch`` of *rows*, shape (tokens, embedding size), that stand where tokens would.

    It gives no outputs.
    """

    def __init__(self, rows: np.ndarray[Any, np.dtype[np.float32]], *, position: int, sequence: int) -> None:
        count = len(rows)
        self._rows = np.ascontiguousarray(rows, np.float32)
        self._positions: Int32s = np.arange(position, position + count, dtype=np.int32)
        self._ones: Int32s = np.ones(count, np.int32)
        self._sequence: Int32s = np.full(1, sequence, np.int32)
        self._lists = np.full(count, self._sequence.ctypes.data, np.uint64)
        self._outputs = np.zeros(count, np.int8)
        self.native = c.llama_batch(
            n_tokens=count,
            token=None,
            embd=_pointer(self._rows, ctypes.c_float),
            pos=_pointer(self._positions, c.llama_pos),
            n_seq_id=_pointer(self._ones, ctypes.c_int32),
            seq_id=_pointer(self._lists, ctypes.POINTER(c.llama_seq_id)),
            logits=_pointer(self._outputs, ctypes.c_int8),
        )


def _pointer(array: np.ndarray[Any, Any], kind: Any) -> Any:
    return ctypes.cast(array.ctypes.data, ctypes.POINTER(kind))
