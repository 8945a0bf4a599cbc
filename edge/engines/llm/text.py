"""From the bytes of tokens to the text that a client may see."""

import codecs
from collections.abc import Sequence


class TextAssembler:
    """Joins token bytes into text, whole characters only, and ends at the first stop string.

    Text that could still turn out to be the beginning of a stop string is held back.
    """

    def __init__(self, stop: Sequence[str] = ()) -> None:
        self._decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        self._stop = [text for text in stop if text]
        self._held = ""
        self.decoded = 0
        """Characters so far, those that are held back or cut off included."""
        self.stopped = False

    def feed(self, piece: bytes) -> str:
        """Take the bytes of the next token and return the text that is certain now."""
        return self._release(self._decode(piece), final=False)

    def finish(self) -> str:
        """Return what is left; bytes that never became a character are shown as U+FFFD."""
        return self._release(self._decode(b"", True), final=True)

    def _release(self, text: str, *, final: bool) -> str:
        self.decoded += len(text)
        if self.stopped:
            return ""
        text = self._held + text
        at = min((i for i in (text.find(stop) for stop in self._stop) if i >= 0), default=-1)
        if at >= 0:
            self.stopped = True
            self._held = ""
            return text[:at]
        keep = 0 if final else max((_overlap(text, stop) for stop in self._stop), default=0)
        self._held = text[len(text) - keep :]
        return text[: len(text) - keep]


def _overlap(text: str, stop: str) -> int:
    """Return the length of the longest end of *text* that is a beginning of *stop*, short of all of it."""
    for length in range(min(len(text), len(stop) - 1), 0, -1):
        if text.endswith(stop[:length]):
            return length
    return 0
