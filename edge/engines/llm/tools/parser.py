"""Function calls found in the text of a model while it is being made."""

import re
import secrets
import string
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from itertools import groupby

from edge.engines.llm.tools.json_call import JsonCall, JsonValue, Step
from edge.workers.messages import Text, ToolCall

THINKING_OPENS = "<think>"
THINKING_CLOSES = "</think>"

_BLANK = " \t\r\n"
_ID_CHARACTERS = string.ascii_letters + string.digits
_NAME_CHARACTERS = _ID_CHARACTERS + "_-"
_LONGEST_HEAD = 256
"""Characters of a function's name and what stands around it, where it stands before its arguments."""
_NAMED_HEAD = re.compile(r"([a-zA-Z0-9_-]{1,64})(?:\[CALL_ID\][a-zA-Z0-9_-]*)?(?:\[ARGS\])?\s*")


def new_call_id() -> str:
    """Return an id as OpenAI's look: ``call_`` and 24 random letters and digits."""
    return "call_" + "".join(secrets.choice(_ID_CHARACTERS) for _ in range(24))


@dataclass(frozen=True, slots=True)
class Markup:
    """How calls stand in the text of a model.

    ``opener`` comes before a call, or before a JSON list of them; ``closer``, if there is one, after it.
    """

    opener: str
    closer: str = ""
    bare: bool = False
    """An answer that begins with ``{`` may be a call without the opener."""
    named: bool = False
    """The name may stand before its arguments: ``name[ARGS]{…}``."""


class ToolParser:
    """Tells the calls of *names* apart from the text around them, as both arrive.

    What might be the beginning of a call is held back until its name is certain; then its arguments go out
    as they come. What looks like a call of something else is text. White space alone between calls, before
    the first or after the last, belongs to the markup and is dropped; all other text passes unchanged. In a
    ``<think>`` block that begins the answer there are no calls.

    With *parallel* False everything after the first call is dropped. With *forced* the answer is calls and
    nothing else, so that the beginning of one, where the answer was cut off, is no text.
    """

    def __init__(
        self,
        markup: Markup,
        names: Collection[str],
        *,
        parallel: bool = True,
        forced: bool = False,
        new_id: Callable[[], str] = new_call_id,
    ) -> None:
        self._markup = markup
        self._names = frozenset(names)
        self._parallel = parallel
        self._forced = forced
        self._new_id = new_id
        self._markers = (markup.opener, THINKING_OPENS)
        self._state: Callable[[str], None] = self._in_text
        self._events: list[Text | ToolCall] = []
        self._tail = ""  # what could be the beginning of a marker
        self._blank = ""  # white space that is text only if other text follows
        self._fresh = True  # no text since the beginning or the last call
        self._thought = ""  # its last characters
        self._held = ""  # what could be the beginning of a call
        self._in_list = False
        self._call = JsonCall()
        self._value = JsonValue()
        self._begun = 0
        self._whole = 0
        self._calls: list[tuple[str, list[str]]] = []
        self._repeats = False

    @property
    def called(self) -> bool:
        """Whether at least one call has begun."""
        return self._begun > 0

    @property
    def complete(self) -> bool:
        """Whether generation may stop: the one call of an answer without parallel calls is whole, or the last
        call repeats an earlier one, which small models do until their context is full."""
        return self._repeats or (not self._parallel and self._whole > 0)

    def feed(self, text: str) -> list[Text | ToolCall]:
        """Take *text* and return what has become certain by it."""
        if self._state == self._in_text and not (self._fresh or self._tail or self._may_open(text)):
            return [Text(text)] if text else []
        for char in text:
            self._state(char)
        if self._state == self._in_call and self._begun > self._whole:
            self._tell_arguments(self._call.take_arguments())
        return self._take_events()

    def finish(self) -> list[Text | ToolCall]:
        """Return what is left. Of a call whose name was certain that is nothing: it stays cut off."""
        if self._state == self._in_broken:
            self._tell_arguments(self._tail)
        elif self._begun == self._whole and self._state != self._after_call and not self._forced:
            self._tell_text(self._held + self._tail)
        if self._blank and not self.called and not self._forced:
            self._events.append(Text(self._blank))
        self._held = self._tail = self._blank = ""
        self._state = self._in_nothing
        return self._take_events()

    def _may_open(self, text: str) -> bool:
        return any(marker[0] in text for marker in self._markers)

    def _take_events(self) -> list[Text | ToolCall]:
        events, self._events = _joined(self._events), []
        return events

    # Text

    def _in_text(self, char: str) -> None:
        if self._markup.bare and self._fresh and not self._tail and char == "{":
            self._in_list = False
            self._in_head(char)
            return
        self._tail += char
        while self._tail and not any(marker.startswith(self._tail) for marker in self._markers):
            self._tell_text(self._tail[0])
            self._tail = self._tail[1:]
        if self._tail == self._markup.opener:
            self._held, self._tail, self._in_list = self._tail, "", False
            self._state = self._in_head
        elif self._tail == THINKING_OPENS:
            if self._fresh and not self.called:
                self._state = self._in_thoughts
            self._tell_text(self._tail)
            self._tail = ""

    def _in_thoughts(self, char: str) -> None:
        self._tell_text(char)
        self._thought = (self._thought + char)[-len(THINKING_CLOSES) :]
        if self._thought == THINKING_CLOSES:
            self._state = self._in_text

    def _in_nothing(self, char: str) -> None:
        """Drop what follows the one call that was allowed."""

    def _tell_text(self, text: str) -> None:
        blank = _BLANK + ";" if self._markup.bare and self.called else _BLANK
        if self._fresh and not text.strip(blank):
            self._blank += text
        elif text:
            self._events.append(Text(self._blank + text))
            self._blank = ""
            self._fresh = False

    def _no_call(self, char: str) -> None:
        """What was held is text after all, and so may be *char*, or the beginning of the next call."""
        held, self._held = self._held, ""
        self._state = self._in_text
        self._tell_text(held)
        for each in char:
            self._in_text(each)

    # A call

    def _in_head(self, char: str) -> None:
        """Between the opener and the call's JSON."""
        if char == "{":
            self._call = JsonCall()
            self._state = self._in_call
            self._in_call(char)
        elif char in _BLANK:
            self._held += char
        elif char == "[" and not self._in_list:
            self._in_list = True
            self._held += char
        elif self._markup.named and not self._in_list and char in _NAME_CHARACTERS:
            self._state = self._in_name
            self._in_name(char)
        else:
            self._no_call(char)

    def _in_call(self, char: str) -> None:
        begun = self._begun > self._whole
        if not self._call.step(char):
            if begun:
                self._tell_arguments(self._call.take_arguments())
                self._state = self._in_broken
                self._in_broken(char)
            else:
                self._no_call(char)
            return
        if not begun:
            self._held += char
            if self._call.name is not None and self._call.name in self._names:
                self._begin(self._call.name)
            elif self._call.name is not None or self._call.done:
                self._no_call("")
                return
        if self._call.done:
            self._tell_arguments(self._call.take_arguments())
            self._end()

    def _in_name(self, char: str) -> None:
        """In ``name[ARGS]`` before the arguments."""
        self._held += char
        written = self._held.removeprefix(self._markup.opener).lstrip(_BLANK)
        if char == "{":
            match = _NAMED_HEAD.fullmatch(written[:-1])
            if match is None or match[1] not in self._names:
                self._no_call("")
                return
            self._begin(match[1])
            self._value = JsonValue()
            self._state = self._in_arguments
            self._in_arguments(char)
        elif char not in _NAME_CHARACTERS + "[]" + _BLANK or len(written) > _LONGEST_HEAD:
            self._held = self._held[:-1]
            self._no_call(char)

    def _in_arguments(self, char: str) -> None:
        """In the arguments of ``name[ARGS]{…}``."""
        step = self._value.step(char)
        self._tell_arguments(char)
        if step is Step.LAST:
            self._end()
        elif step is Step.WRONG:
            self._state = self._in_broken

    def _in_broken(self, char: str) -> None:
        """In a call that is no JSON any more: its caller sees what the model made of it."""
        self._tail += char
        closer = self._markup.closer or self._markup.opener
        while self._tail and not closer.startswith(self._tail):
            self._tell_arguments(self._tail[0])
            self._tail = self._tail[1:]
        if self._tail == closer:
            self._tail = ""
            self._end()
            self._state = self._in_text if self._parallel else self._in_nothing
            for each in "" if self._markup.closer else closer:
                self._state(each)

    def _after_call(self, char: str) -> None:
        """After the call's JSON: the rest of its markup, or whatever may come between calls."""
        if self._in_list and not self._tail and char in ",]":
            self._in_list = char == ","
            self._state = self._in_head if self._in_list else self._after_call
            return
        if not self._tail and char in _BLANK:
            self._tell_text(char)
            return
        self._tail += char
        if self._tail == self._markup.closer:
            self._tail = self._blank = ""
            self._state = self._in_text
        elif not self._markup.closer.startswith(self._tail):
            tail, self._tail = self._tail, ""
            self._state = self._in_text
            for each in tail:
                self._state(each)

    def _begin(self, name: str) -> None:
        self._events.append(ToolCall(self._begun, id=self._new_id(), name=name))
        self._begun += 1
        self._calls.append((name, []))
        self._held = self._blank = ""
        self._fresh = True

    def _tell_arguments(self, text: str) -> None:
        if text:
            self._events.append(ToolCall(self._begun - 1, arguments=text))
            self._calls[-1][1].append(text)

    def _end(self) -> None:
        self._whole = self._begun
        *earlier, last = [(name, "".join(arguments)) for name, arguments in self._calls]
        self._repeats = last in earlier
        self._state = self._after_call if self._parallel else self._in_nothing


def _kind(event: Text | ToolCall) -> tuple[str, int]:
    if isinstance(event, Text):
        return "text", 0
    return ("arguments" if event.id is None else "begin"), event.index


def _joined(events: Iterable[Text | ToolCall]) -> list[Text | ToolCall]:
    """Return *events* with the pieces of one text, or of one call's arguments, put together."""
    joined: list[Text | ToolCall] = []
    for (kind, index), run in groupby(events, _kind):
        if kind == "text":
            joined.append(Text("".join(event.text for event in run if isinstance(event, Text))))
        elif kind == "arguments":
            pieces = (event.arguments for event in run if isinstance(event, ToolCall))
            joined.append(ToolCall(index, arguments="".join(pieces)))
        else:
            joined += run
    return joined
