"""Holds a sequence to a grammar: JSON that fits a schema, or a tool call. The masks are llguidance's."""

import ctypes
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from threading import Lock
from typing import Any

import llama_cpp as c
import numpy as np
from cachetools import LRUCache
from llguidance import LLMatcher, LLParserLimits, LLTokenizer
from numpy.typing import NDArray

from edge.engines.base import InvalidRequest
from edge.engines.llama import Model
from edge.engines.llm.json_schema import SchemaError, json_rules, rule_depth

CACHED_GRAMMARS = 32
"""Compiled grammars that a model keeps; the least recently used goes first."""

TOKENS_OF_A_GRAMMAR = 4_000
"""Tokens after which a grammar is compiled anew for the next request. Its sequences share a lexer that never
forgets a state: measured, up to 16 states of 0.4 kB for a token, so 26 MB by then."""

MAX_GRAMMAR = 2_000_000
"""Characters of a grammar in llguidance's Lark dialect."""

MAX_RULE_DEPTH = 400
"""Rules between the start and the deepest rule. The library compiles by recursion: 5,000 crash the process on
a stack of 8 MB, 500 do not."""


_ALLOWED_BITS = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1, bitorder="little")
_PENALTY = np.where(_ALLOWED_BITS == 1, np.float32(0), np.float32(-np.inf)).astype(np.float32)
"""For every byte of a packed mask, what is added to the logits of its eight tokens."""


class _Vocabulary:
    """What the constraints of one model share."""

    def __init__(self, size: int, ends: list[int], mask_bytes: int) -> None:
        self.size = size
        self.ends = frozenset(ends)
        bits = np.zeros(mask_bytes * 8, dtype=np.uint8)
        bits[ends] = 1
        self.only_ends = np.packbits(bits, bitorder="little")
        self.scratch = np.empty((mask_bytes, 8), dtype=np.float32)


class _Grammar:
    """A compiled grammar, and how much it has been used."""

    def __init__(self, matcher: LLMatcher) -> None:
        self.matcher = matcher
        self.tokens = 0
        self.broken = False

    @property
    def spent(self) -> bool:
        return self.broken or self.tokens >= TOKENS_OF_A_GRAMMAR


class Constraint:
    """What one sequence may still say. Owned by one thread.

    A step is: draw a token, ask :meth:`allows`, on a miss :meth:`apply` the mask and draw again, then
    :meth:`advance`.
    """

    def __init__(self, grammar: _Grammar, vocabulary: _Vocabulary, param: str) -> None:
        self._grammar = grammar
        self._matcher = grammar.matcher.deep_copy()
        self._vocabulary = vocabulary
        self._ends = vocabulary.ends
        self._vocab_size = vocabulary.size
        self._param = param
        self._ended = False

    def allows(self, token: int) -> bool:
        """Whether *token* may come next: 3 µs at a vocabulary of 49,152 tokens."""
        if token in self._ends:
            return self.complete
        if self._ended or not 0 <= token < self._vocab_size or self._matcher.is_stopped():
            self._check()
            return False
        allowed = self._matcher.validate_tokens([token]) == 1
        self._check()
        return allowed

    def mask(self) -> NDArray[np.bool_]:
        """Return which tokens may come next, of shape ``(vocab_size,)``. :meth:`apply` is quicker."""
        bits = np.unpackbits(self._packed(), count=self._vocab_size, bitorder="little")
        return bits.view(np.bool_)

    def apply(self, logits: NDArray[np.float32]) -> None:
        """Set the logits of every token that may not come next to minus infinity, in place: 40 µs or so.

        *logits* is a contiguous row of ``vocab_size``.

        Raises:
            InvalidRequest: the grammar turned out too complex to follow; the sequence cannot go on.
        """
        scratch = self._vocabulary.scratch
        np.take(_PENALTY, self._packed(), axis=0, out=scratch, mode="clip")
        logits += scratch.reshape(-1)[: self._vocab_size]

    def advance(self, token: int) -> None:
        """Take the token that was drawn.

        Raises:
            ValueError: the token was not allowed.
            InvalidRequest: the grammar turned out too complex to follow; the sequence cannot go on.
        """
        if not self.allows(token):
            raise ValueError(f"token {token} is not allowed here")
        if token in self._ends:
            self._ended = True
            return
        self._grammar.tokens += 1
        self._matcher.consume_token(token)
        self._check()

    @property
    def complete(self) -> bool:
        """Whether the text so far is whole, so that the sequence may end here."""
        accepting: bool = not self._matcher.is_error() and self._matcher.is_accepting()
        return accepting

    @property
    def exhausted(self) -> bool:
        """Whether nothing but an end token may follow."""
        stopped: bool = self._matcher.is_stopped()
        self._check()
        return self._ended or stopped

    def forced(self) -> list[int]:
        """Return the tokens that must follow now, empty if there is a choice.

        They are the model's own tokenisation of the only possible text, as far as what comes after it cannot
        change that. Each goes through :meth:`advance` like a drawn one.
        """
        if self._ended or self._matcher.is_stopped():
            return []
        tokens: list[int] = self._matcher.compute_ff_tokens()
        self._check()
        return tokens

    def _packed(self) -> NDArray[np.uint8]:
        if self._ended or (self._matcher.is_stopped() and not self._matcher.is_error()):
            return self._vocabulary.only_ends
        mask = np.frombuffer(self._matcher.compute_bitmask(), dtype=np.uint8)
        self._check()
        return mask

    def _check(self) -> None:
        if self._matcher.is_error():
            self._grammar.broken = True
            raise InvalidRequest(
                f"{self._param}: the grammar is too complex to follow, the answer ends here; "
                "make its patterns and choices simpler",
                param=self._param,
            )


class Constraints:
    """The grammars of one loaded model.

    Building it reads the vocabulary once: 160 ms for 49,152 tokens. :meth:`json` and :meth:`lark` may be
    called from any thread; compiling takes 2 ms for a small schema, 25 ms for one with formats and patterns,
    160 ms for 400 keys, a second or two at the limits of ``json_schema`` (one shared core; the second time
    0.1 ms).

    A text is the concatenation of ``Model.pieces``, so the grammar sees just the bytes that a caller will;
    control tokens have none and are never allowed, but an end token is where the text is whole.
    """

    def __init__(self, model: Model) -> None:
        ends = [token for token in range(model.vocab_size) if model.is_end(token)]
        pieces = [
            piece if piece and token not in ends else b"\xff" + model.special_piece(token).encode()
            for token, piece in enumerate(model.pieces)
        ]  # 0xff marks a token that is no text
        single = {piece for piece in model.pieces if len(piece) == 1}
        self._missing = frozenset(range(256)) - {piece[0] for piece in single}
        self._model = model  # the tokenizer calls into its vocabulary
        self._tokenizer = LLTokenizer.from_llamacpp(  # type: ignore[attr-defined] # not in its published types
            tokens=pieces,
            vocab_ptr=model.vocab,
            tokenize_fptr=ctypes.cast(c.llama_cpp._lib.llama_tokenize, ctypes.c_void_p).value,
            eos_token=ends,
            slices=LLTokenizer.json_slices(),
        )
        self._limits = LLParserLimits(  # speeds and sizes are what the library's documentation states
            max_items_in_row=5_000,
            initial_lexer_fuel=1_000_000,  # 50,000 a millisecond: 20 ms
            step_lexer_fuel=500_000,  # 14,000 a millisecond: 36 ms
            step_max_items=100_000,  # 20,000 a millisecond: 5 ms
            max_lexer_states=250_000,  # 0.4 kB each, measured: 100 MB
            max_grammar_size=500_000,
            verbose_errors=False,
        )
        anything = LLMatcher(self._tokenizer, LLMatcher.grammar_from_regex("a"))
        self._vocabulary = _Vocabulary(model.vocab_size, ends, len(anything.compute_bitmask()))
        self._grammars: LRUCache[tuple[str, str], _Grammar] = LRUCache(CACHED_GRAMMARS)
        self._lock = Lock()

    def json(self, schema: Mapping[str, Any] | bool, *, param: str) -> Constraint:
        """Return a constraint to JSON texts that are valid under *schema*.

        Raises:
            InvalidRequest: the schema is malformed, too large, satisfied by nothing, or has a keyword that
                cannot be enforced; ``param`` is the request's field it came from.
        """
        try:
            key = json.dumps(schema, ensure_ascii=False)
        except (TypeError, ValueError, RecursionError) as error:
            raise InvalidRequest(
                f"{param}: the schema is not JSON or nests too deeply", param=param
            ) from error
        try:
            return self._constraint(("json", key), lambda: f"start: root\n{json_rules(schema)}", param)
        except SchemaError as error:
            raise error.about(param) from error

    def lark(self, grammar: str, *, param: str) -> Constraint:
        """Return a constraint to a grammar in llguidance's dialect of Lark.

        :func:`edge.engines.llm.json_schema.json_rules` gives the rules of a schema as part of such a grammar.

        Raises:
            InvalidRequest: the grammar is malformed or too large.
        """
        return self._constraint(("lark", grammar), lambda: grammar, param)

    def _constraint(self, key: tuple[str, str], lark: Callable[[], str], param: str) -> Constraint:
        with self._lock:
            grammar = self._grammars.get(key)
            if grammar is None or grammar.spent:
                grammar = self._grammars[key] = _Grammar(self._compiled(lark(), param))
        return Constraint(grammar, self._vocabulary, param)

    def _compiled(self, grammar: str, param: str) -> LLMatcher:
        if len(grammar) > MAX_GRAMMAR or rule_depth(grammar) > MAX_RULE_DEPTH:
            raise InvalidRequest(f"{param}: the grammar is too large or nests too deeply", param=param)
        self._check_characters(grammar, param)
        with _panics(param):
            matcher = LLMatcher(
                self._tokenizer, LLMatcher.grammar_from_lark(grammar), log_level=0, limits=self._limits
            )
            refused = str(matcher.get_error()) if matcher.is_error() else ""
            matcher.compute_bitmask()  # finds out whether there is a first token at all
        if refused:
            raise InvalidRequest(
                f"{param} cannot be enforced: {refused.split(chr(10))[0][:200]}", param=param
            )
        if matcher.is_stopped():
            raise InvalidRequest(f"{param}: no text can follow this grammar", param=param)
        return matcher

    def _check_characters(self, grammar: str, param: str) -> None:
        """Refuse literal characters of which the vocabulary lacks a byte: the library would force another
        text."""
        for character in sorted(set(grammar)):
            if not character.isascii() and self._missing.intersection(character.encode("utf-8", "replace")):
                raise InvalidRequest(
                    f"{param}: the model cannot write the character U+{ord(character):04X}; leave it out",
                    param=param,
                )


@contextmanager
def _panics(param: str) -> Iterator[None]:
    """Turn a panic of the library, which is no ``Exception``, into a refusal."""
    try:
        yield
    except BaseException as error:
        if type(error).__name__ != "PanicException":
            raise
        raise InvalidRequest(
            f"{param} cannot be enforced: the grammar library gave up on it", param=param
        ) from error
