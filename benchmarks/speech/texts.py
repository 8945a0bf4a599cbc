"""What is spoken, and how a transcript is compared with what was said."""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

import jiwer

SENTENCE = "The lake was calm that evening, and all the small boats came home before the rain."

SIXTY_WORDS = (
    "The committee met on a rainy morning to talk about the old bridge. "
    "Most of its members agreed that it could not be repaired again. "
    "They asked the engineers for a plan that would keep the road open. "
    "A second meeting was set for the end of the month, when all of the costs should be known to the people."
)
"""Four sentences, sixty words."""

_DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
_TEENS = {str(number + 10): word for number, word in enumerate(("ten", "eleven", "twelve"))}
_SPELT = dict(zip("0123456789", _DIGITS, strict=True)) | _TEENS
_WRITTEN = {
    "okay": "ok",
    "mister": "mr",
    "dialled": "dialed",
    "cancelled": "canceled",
    "voice mail": "voicemail",
    "log in": "login",
}
_WORD = re.compile(r"[a-z0-9]+(?:'[a-z]+)?")


def words(text: str) -> str:
    """Return *text* as words that can be compared: small letters, no punctuation, digits and a few words that
    are written in two ways in one of them."""
    plain = unicodedata.normalize("NFKD", text).lower().replace("\N{RIGHT SINGLE QUOTATION MARK}", "'")
    plain = plain.replace("-", " ")
    for one, other in _WRITTEN.items():
        plain = re.sub(rf"\b{one}\b", other, plain)
    return " ".join(_SPELT.get(word, word) for word in _WORD.findall(plain))


@dataclass(frozen=True, slots=True)
class Errors:
    """Wrong words among all that were said."""

    wrong: int
    said: int

    @property
    def rate(self) -> float:
        return self.wrong / self.said


def compare(said: Sequence[str], heard: Sequence[str]) -> Errors:
    """Count the words to be replaced, added and removed that make *heard* of *said*, text by text."""
    found = jiwer.process_words([words(text) for text in said], [words(text) for text in heard])
    wrong = found.substitutions + found.deletions + found.insertions
    return Errors(wrong, found.substitutions + found.deletions + found.hits)
