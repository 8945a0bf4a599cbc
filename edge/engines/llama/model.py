"""A loaded model: its weights, its vocabulary and what its file says of itself.

Names and meanings are those of llama.h; a handle that is not kept referenced crashes the process, so
everything that C holds on to lives as long as the object here.
"""

import ctypes
from functools import cached_property
from pathlib import Path

import llama_cpp as c

from edge.engines.llama import native
from edge.engines.llama.native import LlamaError


class Model:
    """The weights and the vocabulary of one GGUF file.

    Raises:
        LlamaError: the file is not a model that this llama.cpp can load.
    """

    def __init__(self, path: Path) -> None:
        native.start()
        self._params = c.llama_model_default_params()
        handle = c.llama_model_load_from_file(str(path).encode(), self._params)
        if not handle:
            raise LlamaError(f"{path.name} is not a model that llama.cpp can load")
        self.handle = handle
        self.vocab = c.llama_model_get_vocab(handle)
        self.vocab_size: int = c.llama_vocab_n_tokens(self.vocab)
        self.embedding_size: int = c.llama_model_n_embd(handle)
        self.heads: int = c.llama_model_n_head(handle)
        """Attention heads of the first layer."""
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

    def token_of(self, text: str) -> int | None:
        """Return the one token that *text* is, control tokens included; None if it takes several."""
        tokens = self.tokenize(text, add_special=False, parse_special=True)
        return tokens[0] if len(tokens) == 1 else None

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
