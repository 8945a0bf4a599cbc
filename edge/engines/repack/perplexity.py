"""How well a model predicts a fixed text.

As llama.cpp's perplexity tool counts: the text is cut into windows of 512 tokens that know nothing of each
other; in each the first half is only read, and every later token is predicted from all before it. Over the
N tokens predicted, perplexity = exp(-1/N · Σ ln p(token | the window before it)).

The text is the first two chapters of Lewis Carroll's "Alice's Adventures in Wonderland" (1865, in the public
domain), Project Gutenberg's Millennium Fulcrum Edition 2.9 as it stands in the Canterbury corpus
(``alice29.txt``), each paragraph on a line of its own.
"""

import math
import time
from functools import lru_cache
from importlib.resources import files as package_files
from typing import Any

import llama_cpp as c
import numpy as np

from edge.engines.llama import Batch, Context, LlamaError, Model

WINDOW = 512
READ = WINDOW // 2

WINDOWS = 8
"""2,040 predicted tokens. The ratio of two perplexities has a standard error of 0.3 % where it is near 1."""

Floats = np.ndarray[Any, np.dtype[np.float64]]


@lru_cache(maxsize=1)
def text() -> str:
    """Return the fixed text, 22 kB of ASCII."""
    return (package_files("edge.engines.repack") / "alice.txt").read_text("ascii")


class Reader:
    """Reads the fixed text with one model, window by window; what was read once is kept.

    Raises:
        LlamaError: there is no memory for it, or the tokenizer makes too few tokens of the text.
    """

    def __init__(self, model: Model, *, threads: int) -> None:
        params = c.llama_context_default_params()
        params.n_ctx = params.n_batch = params.n_ubatch = WINDOW
        params.n_threads = params.n_threads_batch = threads
        self._context = Context(model, params)
        self._batch = Batch(WINDOW)
        tokens = model.tokenize(text(), add_special=False, parse_special=False)
        self.windows = [tokens[at : at + WINDOW] for at in range(0, len(tokens) - WINDOW + 1, WINDOW)][
            :WINDOWS
        ]
        if not self.windows:
            raise LlamaError("the fixed text is too short for this tokenizer")
        if c.llama_vocab_get_add_bos(model.vocab):
            first = c.llama_vocab_bos(model.vocab)
            self.windows = [[first, *window[1:]] for window in self.windows]
        self._read: list[Floats] = []

    def likelihoods(self, window: int) -> Floats:
        """Return ln p of each token that is predicted in *window*, shape (255,)."""
        while len(self._read) <= window:
            self._read.append(self._likelihoods(self.windows[len(self._read)]))
        return self._read[window]

    def settle_threads(self, choices: tuple[int, ...]) -> int:
        """Read a window with each number of threads, go on with the fastest, and return it.

        Beside other busy processes one thread is several times faster than one for each core.
        """
        seconds = {}
        for threads in choices:
            self._context.set_threads(threads, threads)
            started = time.monotonic()
            self.likelihoods(len(self._read))
            seconds[threads] = time.monotonic() - started
        fastest = min(seconds, key=seconds.__getitem__)
        self._context.set_threads(fastest, fastest)
        return fastest

    def _likelihoods(self, window: list[int]) -> Floats:
        self._context.clear()
        self._batch.clear()
        self._batch.add(window[:READ], position=0, sequence=0, output="none")
        self._batch.add(window[READ:], position=READ, sequence=0, output="all")
        self._context.decode(self._batch.native)
        logits = self._context.logits(WINDOW - READ)[:-1]
        chosen = logits[np.arange(len(logits)), window[READ + 1 :]].astype(np.float64)
        top = logits.max(axis=1)
        logits -= top[:, None]
        np.exp(logits, out=logits)
        likelihoods: Floats = chosen - top - np.log(logits.sum(axis=1, dtype=np.float64))
        return likelihoods

    def close(self) -> None:
        self._context.close()


def perplexity(likelihoods: Floats) -> float:
    return math.exp(-float(likelihoods.mean()))


def beyond(losses: Floats, limit: float) -> bool:
    """Return whether a perplexity is surely over *limit* times another: reading on is then of no use.

    *losses* are, token by token, what of ln p was lost against that other. Surely: by three standard errors.
    """
    return float(losses.mean()) - 3 * float(losses.std()) / math.sqrt(len(losses)) > math.log(limit)


def compare(original: Reader, candidate: Reader, *, limit: float) -> tuple[float, float, float]:
    """Return the perplexity of both and the second over the first.

    Reads until all windows are read, or the ratio is surely over *limit*.
    """
    ours: list[Floats] = []
    theirs: list[Floats] = []
    for window in range(len(original.windows)):
        theirs.append(original.likelihoods(window))
        ours.append(candidate.likelihoods(window))
        losses = np.concatenate(theirs) - np.concatenate(ours)
        if window > 0 and beyond(losses, limit):
            break
    before, after = perplexity(np.concatenate(theirs)), perplexity(np.concatenate(ours))
    return before, after, after / before
