"""What the load needs to know of a model's vocabulary: how long a text is, and which tokens end it."""

import ctypes
import re
from pathlib import Path

import llama_cpp as c

from benchmarks.processes import BenchmarkError

_WORD = re.compile(r" [a-z]{3,9}", re.ASCII)
_PIECE_BYTES = 256
LEAST_WORDS = 1000


class Vocabulary:
    """The vocabulary of the GGUF file *path*; its weights are not read.

    Raises:
        BenchmarkError: it is no model, or has too few whole words to make prompts of.
    """

    def __init__(self, path: Path) -> None:
        c.llama_log_set(_silent, ctypes.c_void_p(0))
        parameters = c.llama_model_default_params()
        parameters.vocab_only = True
        self._model = c.llama_model_load_from_file(str(path).encode(), parameters)
        if not self._model:
            raise BenchmarkError(f"{path} is not a model that llama.cpp can load")
        self._vocab = c.llama_model_get_vocab(self._model)
        size = c.llama_vocab_n_tokens(self._vocab)
        self.ends = tuple(token for token in range(size) if c.llama_vocab_is_eog(self._vocab, token))
        """The tokens that end a generation."""
        self.words = self._words(size)
        """English-looking words that are one token each when a space stands before them."""
        if len(self.words) < LEAST_WORDS:
            raise BenchmarkError(f"the vocabulary of {path.name} has only {len(self.words)} whole words")

    def count(self, text: str) -> int:
        """Return how many tokens a server makes of *text* as a prompt, those around it included."""
        data = text.encode()
        count = c.llama_tokenize(self._vocab, data, len(data), None, 0, True, True)
        return -count if count < 0 else 0

    def _words(self, size: int) -> tuple[str, ...]:
        buffer = ctypes.create_string_buffer(_PIECE_BYTES)
        words = set()
        for token in range(size):
            length = c.llama_token_to_piece(self._vocab, token, buffer, _PIECE_BYTES, 0, False)
            piece = buffer.raw[: max(length, 0)].decode("utf-8", "replace")
            if _WORD.fullmatch(piece):
                words.add(piece.strip())
        return tuple(sorted(words))


@c.llama_log_callback  # type: ignore[untyped-decorator]
def _silent(_level: int, _text: bytes, _data: ctypes.c_void_p) -> None:
    pass
