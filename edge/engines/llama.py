"""What both llama.cpp engines need of the bindings: a loaded model, its vocabulary and a context.

Names and meanings are those of llama.h; a handle that is not kept referenced crashes the process, so
everything that C holds on to lives as long as the object here.
"""

import ctypes
import logging
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import llama_cpp as c

log = logging.getLogger(__name__)

_GGML_LOG_LEVEL_WARN = 3
_GGML_LOG_LEVEL_ERROR = 4


class LlamaError(Exception):
    """llama.cpp refused or failed; the message says in what."""


@c.llama_log_callback  # type: ignore[untyped-decorator]
def _log_native(level: int, text: bytes, _data: ctypes.c_void_p) -> None:
    if level in (_GGML_LOG_LEVEL_WARN, _GGML_LOG_LEVEL_ERROR):
        line = text.decode("utf-8", "replace").rstrip()
        if line:
            log.log(logging.ERROR if level == _GGML_LOG_LEVEL_ERROR else logging.DEBUG, "llama.cpp: %s", line)


class Model:
    """The weights and the vocabulary of one GGUF file.

    Raises:
        LlamaError: the file is not a model that this llama.cpp can load.
    """

    def __init__(self, path: Path) -> None:
        c.llama_log_set(_log_native, ctypes.c_void_p(0))
        c.llama_backend_init()
        self._params = c.llama_model_default_params()
        handle = c.llama_model_load_from_file(str(path).encode(), self._params)
        if not handle:
            raise LlamaError(f"{path.name} is not a model that llama.cpp can load")
        self.handle = handle
        self.vocab = c.llama_model_get_vocab(handle)
        self.vocab_size: int = c.llama_vocab_n_tokens(self.vocab)
        self.embedding_size: int = c.llama_model_n_embd(handle)
        self.train_context: int = c.llama_model_n_ctx_train(handle)
        self.parameters: int = c.llama_model_n_params(handle)

    @cached_property
    def pieces(self) -> list[bytes]:
        """The bytes of every token; control tokens have none."""
        buffer = ctypes.create_string_buffer(512)
        pieces = []
        for token in range(self.vocab_size):
            length = c.llama_token_to_piece(self.vocab, token, buffer, len(buffer), 0, False)
            pieces.append(buffer.raw[:length] if length > 0 else b"")
        return pieces

    def special_piece(self, token: int) -> str:
        """Return the text of a control token as a template writes it, ``""`` if there is no such token."""
        if token < 0:
            return ""
        buffer = ctypes.create_string_buffer(512)
        length = c.llama_token_to_piece(self.vocab, token, buffer, len(buffer), 0, True)
        return buffer.raw[: max(length, 0)].decode("utf-8", "replace")

    @cached_property
    def longest_piece(self) -> int:
        """Bytes of the longest token: no text of n tokens is longer than n times this."""
        return max(map(len, self.pieces))

    def tokenize(self, text: str, *, add_special: bool, parse_special: bool) -> list[int]:
        """Return the tokens of *text*."""
        data = text.encode("utf-8", "replace")
        capacity = len(data) + 8
        buffer = (c.llama_token * capacity)()
        count = c.llama_tokenize(self.vocab, data, len(data), buffer, capacity, add_special, parse_special)
        if count < 0:
            raise LlamaError("the text cannot be tokenized")
        return buffer[:count]

    def is_end(self, token: int) -> bool:
        """Whether *token* ends a generation."""
        return bool(c.llama_vocab_is_eog(self.vocab, token))

    def metadata(self, key: str) -> str | None:
        """Return a string of the file's metadata, None if it has no such key."""
        size = c.llama_model_meta_val_str(self.handle, key.encode(), ctypes.create_string_buffer(1), 1)
        if size < 0:
            return None
        buffer = ctypes.create_string_buffer(size + 1)
        c.llama_model_meta_val_str(self.handle, key.encode(), buffer, size + 1)
        return buffer.value.decode("utf-8", "replace")


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

    def clear(self) -> None:
        """Forget every sequence."""
        if self.memory:
            c.llama_memory_clear(self.memory, False)

    def decode(self, batch: c.llama_batch) -> None:
        """Run one batch.

        Raises:
            LlamaError: llama.cpp reports a failure; the context must be cleared before its next use.
        """
        status = c.llama_decode(self.handle, batch)
        if status != 0:
            raise LlamaError(f"llama_decode failed with status {status}")


class Batch:
    """A ``llama_batch`` that is filled anew for every step, with room for *capacity* tokens."""

    def __init__(self, capacity: int) -> None:
        self._batch = c.llama_batch_init(capacity, 0, 1)
        self.native = self._batch
        self._batch.n_tokens = 0

    def __len__(self) -> int:
        return int(self._batch.n_tokens)

    def clear(self) -> None:
        self._batch.n_tokens = 0

    def add(self, tokens: Sequence[int], *, position: int, sequence: int, output: str) -> None:
        """Append *tokens* of one sequence; *output* says which give logits or embeddings: last, all, none."""
        batch = self._batch
        start = batch.n_tokens
        for offset, token in enumerate(tokens):
            i = start + offset
            batch.token[i] = token
            batch.pos[i] = position + offset
            batch.n_seq_id[i] = 1
            batch.seq_id[i][0] = sequence
            batch.logits[i] = output == "all"
        batch.n_tokens = start + len(tokens)
        if output == "last":
            batch.logits[batch.n_tokens - 1] = True
