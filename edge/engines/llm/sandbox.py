"""Where the Jinja templates of model files run: somebody else's programs, on the thread of our caller.

The environment is the one that model authors write for, transformers' ``apply_chat_template``. Jinja's
sandbox keeps a template away from Python's internals; what is added here keeps it from running on and from
filling the memory. Loops, calls, filters and comparisons look at a clock. What makes a text or a list longer
is measured before it happens, so that each single operation is short. Filters and methods that are of no use
in a chat and hard to measure are not there.
"""

import json
import re
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import wraps
from typing import Any, NoReturn

from jinja2 import TemplateError, nodes
from jinja2.exceptions import SecurityError
from jinja2.ext import Extension
from jinja2.parser import Parser
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import Namespace
from jinja2.visitor import NodeTransformer

MAX_SECONDS = 2.0
"""Processor time of one rendering. Published templates take a thousandth of it."""

MAX_SOURCE = 1024 * 1024
"""Characters of a template; published ones have up to 20,000."""

MAX_TEXT = 8 * 1024 * 1024
"""Characters of any text that a template makes, or that any of its values would be if written out."""

MAX_NUMBER_BITS = 4096

_ITEM = 64
"""What a value that is no text counts for, in characters: it bounds how many there can be of them."""

_FILTERS = (
    *("abs", "attr", "capitalize", "count", "d", "default", "dictsort", "e", "escape", "first"),
    *("float", "format", "indent", "int", "items", "join", "last", "length", "list", "lower"),
    *("map", "max", "min", "reject", "rejectattr", "replace", "reverse", "round", "safe"),
    *("select", "selectattr", "sort", "string", "title", "tojson", "trim", "truncate"),
    *("unique", "upper", "wordcount"),
)
_TEXT_METHODS = (
    *("capitalize", "count", "endswith", "find", "format", "index", "isalnum", "isalpha"),
    *("isascii", "isdecimal", "isdigit", "islower", "isnumeric", "isspace", "istitle"),
    *("isupper", "join", "lower", "lstrip", "partition", "removeprefix", "removesuffix"),
    *("replace", "rfind", "rindex", "rpartition", "rsplit", "rstrip", "split", "splitlines"),
    *("startswith", "strip", "swapcase", "title", "upper"),
)
_TOO_WIDE = re.compile(r"[0-9]{5}|%[^a-zA-Z%]*\*|\{[^{}]*\{")
"""Formats that pad by five digits, or by what their values say."""
_WIDEST_PADDING = 10_000


class TooMuch(SecurityError):
    """A template runs too long or makes too much."""


def _refuse(message: str) -> NoReturn:
    raise TemplateError(message)


def _strftime_now(pattern: str) -> str:
    return datetime.now(UTC).strftime(pattern)


def _size(value: Any) -> int:
    """Return about how many characters *value* has when written out; stops counting beyond ``MAX_TEXT``."""
    if isinstance(value, str):
        return len(value)
    size = 0
    waiting = [value]
    while waiting and size <= MAX_TEXT:
        item = waiting.pop()
        size += len(item) + 2 if isinstance(item, str | bytes) else _ITEM
        if isinstance(item, Mapping):
            waiting += item.keys()
            waiting += item.values()
        elif isinstance(item, list | tuple | set | frozenset):
            waiting += item
        elif isinstance(item, Namespace):
            waiting.append(item._Namespace__attrs)
        elif isinstance(item, int) and item.bit_length() > MAX_NUMBER_BITS:
            raise TooMuch("it makes too large a number")
    return size


def _check(size: int) -> None:
    if size > MAX_TEXT:
        raise TooMuch("it makes too long a text")


def _check_format(text: str, values: Iterable[Any]) -> None:
    if _TOO_WIDE.search(text):
        raise TooMuch("it pads a text too far")
    longest = max((_size(value) for value in values), default=0)
    _check(len(text) + (text.count("%") + text.count("{")) * max(longest, _WIDEST_PADDING))


def _check_replace(text: str, old: Any, new: Any) -> None:
    _check(len(text) + text.count(str(old)) * _size(new))


def _format(text: str, *args: Any, **kwargs: Any) -> str:
    _check_format(str(text), [*args, *kwargs.values()])
    return str(text) % (kwargs or args)


def _indent(text: str, width: int | str = 4, first: bool = False, blank: bool = False) -> str:
    indention = width if isinstance(width, str) else " " * min(width, _WIDEST_PADDING)
    lines = str(text).splitlines()
    _check(len(str(text)) + len(lines) * len(indention))
    return "\n".join(
        indention + line if (number or first) and (line or blank) else line
        for number, line in enumerate(lines)
    )


def _to_json(
    value: Any,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    """Return *value* as JSON the way transformers does: unlike Jinja's own filter it escapes no HTML."""
    _check(_size(value) * (1 + (indent or 0)))
    return json.dumps(
        value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys
    )


class _Generation(Extension):
    """``{% generation %}`` marks what a model is trained on; when it answers that means nothing."""

    tags = {"generation"}  # noqa: RUF012 - Jinja's own declaration

    def parse(self, parser: Parser) -> list[nodes.Node]:
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


class _Watched(NodeTransformer):
    """Puts a look at the clock into every loop and before what could take long."""

    def visit_For(self, node: nodes.For) -> nodes.For:  # noqa: N802 - Jinja's name
        self.generic_visit(node)
        none = nodes.Const(None, lineno=node.lineno)
        node.body.insert(0, nodes.ExprStmt(self._watch(none), lineno=node.lineno))
        if node.test is not None:
            node.test = self._watch(node.test)
        return node

    def visit_Compare(self, node: nodes.Compare) -> nodes.Compare:  # noqa: N802
        self.generic_visit(node)
        node.expr = self._watch(node.expr)
        return node

    def visit_Getitem(self, node: nodes.Getitem) -> nodes.Getitem:  # noqa: N802
        self.generic_visit(node)
        if isinstance(node.arg, nodes.Slice):
            node.node = self._watch(node.node)
        return node

    def visit_Concat(self, node: nodes.Concat) -> nodes.Filter:  # noqa: N802
        self.generic_visit(node)
        return self._filter(nodes.List(node.nodes, lineno=node.lineno), "join")

    def visit_List(self, node: nodes.List) -> nodes.Filter:  # noqa: N802
        self.generic_visit(node)
        return self._filter(node, "_measured")

    def visit_Dict(self, node: nodes.Dict) -> nodes.Filter:  # noqa: N802
        self.generic_visit(node)
        return self._filter(node, "_measured")

    def visit_Tuple(self, node: nodes.Tuple) -> nodes.Tuple | nodes.Filter:  # noqa: N802
        self.generic_visit(node)
        return self._filter(node, "_measured") if node.ctx == "load" else node

    def _watch(self, node: nodes.Node) -> nodes.Filter:
        return self._filter(node, "_watched")

    def _filter(self, node: nodes.Node, name: str) -> nodes.Filter:
        return nodes.Filter(node, name, [], [], None, None, lineno=node.lineno)


class ChatEnvironment(ImmutableSandboxedEnvironment):
    """Compiles chat templates. May be used by several threads at once."""

    intercepted_binops = frozenset({"+", "*", "**", "%"})

    def __init__(self) -> None:
        super().__init__(
            trim_blocks=True,
            lstrip_blocks=True,
            extensions=["jinja2.ext.loopcontrols", _Generation],
            finalize=self._measured,
            optimized=False,
        )
        self._clock = threading.local()
        own = {"format": _format, "indent": _indent, "join": self._join, "replace": self._replace}
        own |= {"tojson": _to_json, "string": lambda value: str(self._measured(value))}
        filters = {name: own.get(name, self.filters[name]) for name in _FILTERS}
        filters |= {"_watched": lambda value: value, "_measured": self._measured}
        self.filters = {name: self._on_the_clock(each) for name, each in filters.items()}
        for name in ("lipsum", "cycler", "joiner"):
            del self.globals[name]
        self.globals |= {"raise_exception": _refuse, "strftime_now": _strftime_now}

    def compile_bounded(self, source: str) -> Callable[..., str]:
        """Return a function that renders the template *source* with the variables that it is given.

        It raises ``TooMuch`` for a template that runs too long or makes too much; whatever else a template
        may raise is up to the template.

        Raises:
            TemplateError: *source* is no template.
        """
        if len(source) > MAX_SOURCE:
            raise TooMuch(f"it has more than {MAX_SOURCE} characters")
        tree = _Watched().visit(self.parse(source))
        template = self.from_string(tree.set_environment(self))

        def render(**variables: Any) -> str:
            with self._limited():
                return template.render(**variables)

        return render

    # What Jinja calls

    def concat(self, pieces: Iterable[str]) -> str:
        kept = []
        size = 0
        for piece in pieces:
            size += len(piece)
            _check(size)
            kept.append(piece)
        return "".join(kept)

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        if isinstance(obj, str):
            return attr in _TEXT_METHODS
        return not isinstance(obj, int | float | bytes) and super().is_safe_attribute(obj, attr, value)

    def wrap_str_format(self, value: Any) -> Callable[..., str] | None:
        wrapped = super().wrap_str_format(value)
        if wrapped is None:
            return None
        text = value.__self__

        def checked(*args: Any, **kwargs: Any) -> str:
            _check_format(text, [*args, *kwargs.values()])
            return wrapped(*args, **kwargs)

        return checked

    def call(
        __self,  # noqa: N805 - the template's own keyword arguments may have any name
        __context: Context,
        __obj: Any,
        *args: Any,
        **kwargs: Any,
    ) -> Any:
        __self._look_at_the_clock()
        owner = getattr(__obj, "__self__", None)
        if isinstance(owner, str) and args:
            if __obj.__name__ == "join":
                return __self._join(args[0], owner)
            if __obj.__name__ == "replace" and len(args) > 1:
                _check_replace(owner, args[0], args[1])
        return __self._measured(super().call(__context, __obj, *args, **kwargs))

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        self._look_at_the_clock()
        if operator == "%":
            if isinstance(left, str):
                _check_format(left, right if isinstance(right, tuple) else [right])
        elif operator == "+":
            if not isinstance(left, int | float):
                _check(_size(left) + _size(right))
        elif not isinstance(left, int | float) or not isinstance(right, int | float):
            count, repeated = (left, right) if isinstance(left, int) else (right, left)
            _check(_size(repeated) * max(count, 0) if isinstance(count, int) else 0)
        elif operator == "*":
            _check_number(_bits(left) + _bits(right))
        else:
            _check_number(_bits(left) * abs(right))
        return super().call_binop(context, operator, left, right)

    # Bounds

    @contextmanager
    def _limited(self) -> Iterator[None]:
        self._clock.end = time.thread_time() + MAX_SECONDS
        try:
            yield
        finally:
            self._clock.end = None

    def _look_at_the_clock(self) -> None:
        end = getattr(self._clock, "end", None)
        if end is not None and time.thread_time() > end:
            raise TooMuch("it runs too long")

    def _on_the_clock(self, function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)
        def watched(*args: Any, **kwargs: Any) -> Any:
            self._look_at_the_clock()
            return function(*args, **kwargs)

        return watched

    def _measured(self, value: Any) -> Any:
        """Return *value*; refuse one that would be too long if it were written out."""
        self._look_at_the_clock()
        _check(_size(value))
        return value

    def _join(self, values: Any, separator: Any = "", attribute: str | int | None = None) -> str:
        kept = []
        size = 0
        for value in values:
            if attribute is not None:
                value = self.getitem(value, attribute)
            size += _size(value) + _size(separator)
            _check(size)
            kept.append(str(value))
        return str(separator).join(kept)

    def _replace(self, text: Any, old: Any, new: Any, count: int | None = None) -> str:
        _check_replace(str(text), old, new)
        return str(text).replace(str(old), str(new), -1 if count is None else count)


def _bits(value: float) -> int:
    return value.bit_length() if isinstance(value, int) else 1


def _check_number(bits: float) -> None:
    if bits > MAX_NUMBER_BITS:
        raise TooMuch("it makes too large a number")
