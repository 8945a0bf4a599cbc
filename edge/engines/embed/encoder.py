"""The computing of embeddings: texts to tokens, tokens to vectors."""

from collections.abc import Sequence
from typing import Any

import llama_cpp as c
import numpy as np

from edge.engines.base import InvalidRequest
from edge.engines.llama import Batch, Context, LlamaError, Model

Floats = np.ndarray[Any, np.dtype[np.float32]]

_POOLED = {c.LLAMA_POOLING_TYPE_MEAN, c.LLAMA_POOLING_TYPE_CLS, c.LLAMA_POOLING_TYPE_LAST}


def unit(vector: Floats, dimensions: int) -> Floats:
    """Return the first *dimensions* numbers of *vector*, scaled to length 1; zeros stay zeros."""
    head = vector[:dimensions].astype(np.float64)
    scaled: Floats = (head / max(float(np.linalg.norm(head)), 1e-12)).astype(np.float32)
    return scaled


class Encoder:
    """A model whose context pools each sequence into one vector. Owned by one thread.

    Raises:
        LlamaError: the model does not embed whole texts, or there is no memory for its context.
    """

    def __init__(self, model: Model, *, context_tokens: int, threads: int, max_inputs: int) -> None:
        self._model = model
        self.input_tokens = min(context_tokens, model.train_context)
        """Tokens of the longest input."""
        self.dimensions: int = c.llama_model_n_embd_out(model.handle)
        self.parameters = model.parameters
        self._longest_text = self.input_tokens * model.longest_piece
        params = c.llama_context_default_params()
        # An encoder sees a whole input at once, so one micro-batch must hold the longest one.
        params.n_ctx = params.n_batch = params.n_ubatch = self.input_tokens
        params.n_seq_max = max_inputs
        params.kv_unified = True
        params.n_threads = params.n_threads_batch = threads
        params.embeddings = True
        self._context = Context(model, params)
        if c.llama_pooling_type(self._context.handle) not in _POOLED:
            raise LlamaError("the model does not pool its tokens into one vector: it is not for embeddings")
        self._batch = Batch(self.input_tokens)

    def read(self, item: str | list[int], index: int) -> list[int]:
        """Return the tokens of *item*, which is input number *index* of its request.

        Raises:
            InvalidRequest: it is empty, too long or holds what is no token.
        """
        if isinstance(item, str):
            tokens = self._tokenize(item, index)
        elif len(item) > self.input_tokens:
            raise self._too_long(index, f"{len(item)} tokens")
        elif any(not 0 <= token < self._model.vocab_size for token in item):
            raise InvalidRequest(
                f"input {index} holds a token id outside 0 to {self._model.vocab_size - 1}", param="input"
            )
        else:
            tokens = item
        if not item or not tokens:
            raise InvalidRequest(f"input {index} holds no text", param="input")
        if len(tokens) > self.input_tokens:
            raise self._too_long(index, f"{len(tokens)} tokens")
        return tokens

    def _tokenize(self, text: str, index: int) -> list[int]:
        if len(text) > self._longest_text:
            # Vocabularies such as BERT's drop white space, so it does not make a text too long by itself.
            written = sum(map(len, text.split()))
            if written > self._longest_text:
                raise self._too_long(index, f"{written} characters")
        return self._model.tokenize(text, add_special=True, parse_special=False)

    def _too_long(self, index: int, size: str) -> InvalidRequest:
        return InvalidRequest(
            f"input {index} has {size} and the model takes {self.input_tokens} tokens; split it",
            param="input",
        )

    def embed(self, group: Sequence[list[int]]) -> list[Floats]:
        """Return one pooled vector of shape (dimensions,) and any length per token list.

        Raises:
            LlamaError: llama.cpp fails on them.
        """
        self._batch.clear()
        self._context.clear()
        for sequence, tokens in enumerate(group):
            self._batch.add(tokens, position=0, sequence=sequence, output="all")
        self._context.decode(self._batch.native)
        return [self._pooled(sequence) for sequence in range(len(group))]

    def _pooled(self, sequence: int) -> Floats:
        pooled = c.llama_get_embeddings_seq(self._context.handle, sequence)
        if not pooled:
            raise LlamaError("llama.cpp gave no vector")
        return np.ctypeslib.as_array(pooled, (self.dimensions,)).astype(np.float32)
