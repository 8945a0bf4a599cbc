"""Random answers that a grammar allows, over a small vocabulary."""

import random
from collections.abc import Mapping, Sequence

from llguidance import LLMatcher, LLTokenizer

END = 0
_WORDS = ("the", '": "', '", "', '{"', '"}', "}}", "city", " name", "<tool", "_call>", "é", "12", ", ", "]")


class Vocabulary:
    """Every byte, a few words, and *markers* as tokens of their own; *control* marks those as special."""

    def __init__(self, markers: Sequence[str] = (), *, control: bool = True) -> None:
        self.tokens = [b"<end>", *(bytes([byte]) for byte in range(256)), *(w.encode() for w in _WORDS)]
        first = len(self.tokens)
        self.tokens += [marker.encode() for marker in markers]
        self.ids: Mapping[str, int] = {marker: first + n for n, marker in enumerate(markers)}
        # What llguidance asks of a tokenizer:
        self.eos_token_id = END
        self.bos_token_id = None
        self.special_token_ids = [END, *(self.ids.values() if control else ())]
        self.is_tokenizer_wrapper = True
        self.native = LLTokenizer(self)  # type: ignore[arg-type]

    def __call__(self, text: bytes | str) -> list[int]:
        return [byte + 1 for byte in (text.encode() if isinstance(text, str) else text)]

    def matcher(self, grammar: str) -> LLMatcher:
        matcher = LLMatcher(self.native, grammar, log_level=0)
        assert not matcher.is_error(), matcher.get_error()
        return matcher


def accepts(vocabulary: Vocabulary, grammar: str, text: str | list[str | int]) -> bool:
    """Whether *grammar* takes *text*, of which numbers are tokens, as a whole."""
    matcher = vocabulary.matcher(grammar)
    tokens: list[int] = []
    for piece in [text] if isinstance(text, str) else text:
        tokens += [piece] if isinstance(piece, int) else vocabulary(piece)
    return matcher.try_consume_tokens(tokens) == len(tokens) and matcher.is_accepting()


def walk(vocabulary: Vocabulary, grammar: str, seed: int, *, longest: int = 600) -> str | None:
    """Return a random answer that *grammar* allows; None if it did not end within *longest* tokens.

    The end is drawn as soon as it is allowed half of the time, quotes and brackets more often than letters.
    """
    random_ = random.Random(seed)
    matcher = vocabulary.matcher(grammar)
    made = b""
    for _ in range(longest):
        mask = matcher.compute_logit_bias()
        allowed = [token for token, bias in enumerate(mask) if bias]
        assert allowed, made
        ending = END in allowed and (len(allowed) == 1 or random_.random() < 0.5)
        closing = [token for token in allowed if vocabulary.tokens[token] in {b'"', b"}", b"]", b'"}', b"}}"}]
        token = END if ending else random_.choice(closing if closing and random_.random() < 0.4 else allowed)
        if token == END:
            return made.decode()
        assert matcher.consume_token(token), matcher.get_error()
        made += vocabulary.tokens[token]
        if matcher.is_stopped():
            return made.decode()
    return None
