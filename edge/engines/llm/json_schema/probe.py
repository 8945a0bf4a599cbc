"""Asks the lexer about single regular expressions: do they match a text, do they match any."""

from functools import cache

from llguidance import LLMatcher, LLParserLimits, LLTokenizer, TokenizerWrapper

from edge.engines.llm.json_schema.characters import quoted
from edge.engines.llm.json_schema.pattern import Pattern

_END = 256


class TooComplex(Exception):
    """An expression is beyond the limits of the lexer."""


class _Bytes:
    """A vocabulary of the 256 bytes and an end token."""

    eos_token_id = _END
    bos_token_id = None
    special_token_ids = (_END,)
    tokens = (*(bytes([value]) for value in range(256)), b"<end>")

    def __call__(self, text: bytes | str) -> list[int]:
        return list(text.encode() if isinstance(text, str) else text)


@cache
def _tokenizer() -> LLTokenizer:
    return LLTokenizer(TokenizerWrapper(_Bytes()), slices=[])


class Probe:
    """Remembers its answers; keep one for one schema.

    Raises:
        TooComplex: an expression is more than the lexer can work out within its limits, about 10 ms.
    """

    def __init__(self) -> None:
        self._empty: dict[str, bool] = {}
        self._matched: dict[tuple[str, str], bool] = {}
        self._matchers: dict[str, LLMatcher] = {}
        self._limits = LLParserLimits(
            initial_lexer_fuel=500_000, step_lexer_fuel=200_000, max_lexer_states=10_000, verbose_errors=False
        )

    def __call__(self, pattern: Pattern, text: str) -> bool:
        return self.matches(pattern.outer, text)

    def certainly(self, pattern: Pattern, text: str) -> bool:
        """Whether *pattern* finds itself in *text* whatever the dialect."""
        return self.matches(pattern.inner, text)

    def is_empty(self, terminal: str) -> bool:
        """Whether nothing matches the expression of a Lark terminal."""
        if terminal not in self._empty:
            self._empty[terminal] = not _goes_on(self._matcher(terminal))
        return self._empty[terminal]

    def matches(self, content: str, text: str) -> bool:
        """Whether an expression over the content of JSON strings matches *text*."""
        key = content, text
        if key not in self._matched:
            matcher = self._matcher(f'/"(?:{content})"/')
            said = [*quoted(text).encode(), _END]
            self._matched[key] = matcher.validate_tokens(said) == len(said)
            if not self._matched[key]:
                _goes_on(matcher.deep_copy())  # a lexer that has given up says no to any token
        return self._matched[key]

    def _matcher(self, terminal: str) -> LLMatcher:
        matcher = self._matchers.get(terminal)
        if matcher is None:
            grammar = LLMatcher.grammar_from_lark(f"start: T\nT: {terminal}")
            matcher = LLMatcher(_tokenizer(), grammar, log_level=0, limits=self._limits)
            if matcher.is_error():
                raise TooComplex
            self._matchers[terminal] = matcher
        return matcher


def _goes_on(matcher: LLMatcher) -> bool:
    """Whether a text can begin; TooComplex if the lexer gave up."""
    matcher.compute_bitmask()
    if matcher.is_error() and not matcher.get_error().startswith("NoExtension"):
        raise TooComplex
    return not matcher.is_stopped()
