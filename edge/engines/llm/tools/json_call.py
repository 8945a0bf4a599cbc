"""A function call written as JSON, read while it is being made."""

import json
from collections.abc import Callable
from enum import Enum, auto

_BLANK = " \t\r\n"
_CLOSES = {"{": "}", "[": "]"}
_NAME_KEYS = ("name", "function")
_ARGUMENT_KEYS = ("arguments", "parameters")


class Step(Enum):
    """What a character was to a JSON value."""

    MORE = auto()
    LAST = auto()
    PAST = auto()
    """The value had ended before it."""
    WRONG = auto()


class JsonValue:
    """Finds the end of one JSON value, a character at a time.

    It looks at brackets and quotes only: what is between them is for whoever parses the value.
    """

    def __init__(self) -> None:
        self._open: list[str] = []
        self._in_string = False
        self._escaped = False
        self._in_scalar = False

    def step(self, char: str) -> Step:
        if self._in_string:
            return self._step_in_string(char)
        if self._in_scalar:
            return Step.PAST if char in ",}]" or char in _BLANK else Step.MORE
        if char == '"':
            self._in_string = True
        elif char in _CLOSES:
            self._open.append(_CLOSES[char])
        elif char in "}]":
            if not self._open or self._open.pop() != char:
                return Step.WRONG
            return Step.MORE if self._open else Step.LAST
        elif not self._open:
            if char not in "-0123456789tfn":
                return Step.WRONG
            self._in_scalar = True
        return Step.MORE

    def _step_in_string(self, char: str) -> Step:
        if self._escaped:
            self._escaped = False
        elif char == "\\":
            self._escaped = True
        elif char == '"':
            self._in_string = False
            return Step.MORE if self._open else Step.LAST
        return Step.MORE


class JsonCall:
    """Reads ``{"name": …, "arguments": {…}}`` a character at a time, its keys in any order.

    Also understood: ``parameters`` for the arguments, ``function`` for the name, arguments that are JSON
    inside a string, and further keys, which are skipped.
    """

    def __init__(self) -> None:
        self.name: str | None = None
        self.done = False
        self._arguments = ""
        self._has_arguments = False
        self._step: Callable[[str], bool] = self._open
        self._key = ""
        self._written: list[str] = []
        self._value = JsonValue()
        self._streams = False

    def step(self, char: str) -> bool:
        """Take *char*; False means that it cannot stand here, and was not taken."""
        return not self.done and self._step(char)

    def take_arguments(self) -> str:
        """Return what the arguments have grown by since the last time; nothing before the name is known."""
        if self.name is None:
            return ""
        if self.done and not self._has_arguments:
            self._has_arguments = True
            return "{}"
        taken, self._arguments = self._arguments, ""
        return taken

    def _open(self, char: str) -> bool:
        self._step = self._before_first_key
        return char == "{"

    def _before_first_key(self, char: str) -> bool:
        return self._close() if char == "}" else self._before_key(char)

    def _before_key(self, char: str) -> bool:
        if char == '"':
            self._begin_value(self._in_key)
            self._value.step(char)
            self._written.append(char)
            return True
        return char in _BLANK

    def _in_key(self, char: str) -> bool:
        self._written.append(char)
        if self._value.step(char) is Step.LAST:
            key = _string("".join(self._written))
            if key is None:
                return False
            self._key = key
            self._step = self._before_colon
        return True

    def _before_colon(self, char: str) -> bool:
        if char == ":":
            self._step = self._before_value
            return True
        return char in _BLANK

    def _before_value(self, char: str) -> bool:
        if char in _BLANK:
            return True
        if self._key in _ARGUMENT_KEYS:
            if self._has_arguments:
                return False
            self._has_arguments = True
        self._begin_value(self._in_value)
        self._streams = self._key in _ARGUMENT_KEYS and char == "{"
        return self._in_value(char)

    def _in_value(self, char: str) -> bool:
        step = self._value.step(char)
        if step is Step.WRONG:
            return False
        if step is not Step.PAST:
            if self._streams:
                self._arguments += char
            elif self._key in _ARGUMENT_KEYS or self._key in _NAME_KEYS:
                self._written.append(char)
        if step is Step.MORE:
            return True
        self._step = self._after_value
        return self._end_value() and (step is Step.LAST or self._after_value(char))

    def _after_value(self, char: str) -> bool:
        if char == "}":
            return self._close()
        if char == ",":
            self._step = self._before_key
            return True
        return char in _BLANK

    def _begin_value(self, state: Callable[[str], bool]) -> None:
        self._value = JsonValue()
        self._written = []
        self._step = state

    def _end_value(self) -> bool:
        written = "".join(self._written)
        if self._key in _NAME_KEYS and self.name is None:
            self.name = _string(written)
            return self.name is not None
        if self._key in _ARGUMENT_KEYS and not self._streams:
            text = "" if written == "null" else _string(written)
            self._arguments = written if text is None else text.strip() or "{}"
        return True

    def _close(self) -> bool:
        self.done = True
        return True


def _string(written: str) -> str | None:
    """Return the string that *written* is in JSON; None if it is none."""
    try:
        value = json.loads(written, strict=False)
    except ValueError:
        return None
    return value if isinstance(value, str) else None
