"""YAML that remembers the line on which everything stands, so that a complaint can name it."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

import yaml
from yaml.reader import ReaderError

Where = tuple[str | int, ...]
"""The way to a value from the top of the document: field names and list indices."""


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong, and where; ``line`` counts from 1."""

    line: int
    where: Where
    reason: str

    def __str__(self) -> str:
        path = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in self.where)
        subject = f"{path.removeprefix('.')}: " if path else ""
        return f"line {self.line}: {subject}{self.reason}"


@dataclass(frozen=True, slots=True)
class MarkedDocument:
    """A document's plain value, the line of each part of it, and what could not be read."""

    value: object = None
    lines: dict[Where, int] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def line(self, where: Where) -> int:
        """Return the line of *where*, or of the nearest part around it that exists."""
        while where and where not in self.lines:
            where = where[:-1]
        return self.lines.get(where, 1)


class _Loader(yaml.SafeLoader):
    """SafeLoader with YAML 1.2's idea of plain text: ``NO`` is Norway and ``2020-01-01`` is a name."""


_Loader.yaml_implicit_resolvers = {
    first: [
        (tag, pattern)
        for tag, pattern in resolvers
        if tag not in ("tag:yaml.org,2002:bool", "tag:yaml.org,2002:timestamp")
    ]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:bool", re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF")
)


def parse(text: str) -> MarkedDocument:
    """Read one YAML document of strings, numbers, booleans, nulls, lists and mappings. Never raises."""
    try:
        loader = _Loader(text)
    except ReaderError as error:
        return _broken(text.count("\n", 0, error.position) + 1, error.reason)
    try:
        node = loader.get_single_node()
        if node is None:
            return _broken(1, "the document is empty")
        reader = _Reader(loader)
        return MarkedDocument(reader.read(node, ()), reader.lines, reader.problems)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        return _broken(mark.line + 1 if mark else 1, error.problem or "is not YAML")
    except yaml.YAMLError as error:
        return _broken(1, str(error))
    except RecursionError:
        return _broken(1, "is nested too deeply")
    finally:
        loader.dispose()


def _broken(line: int, reason: str) -> MarkedDocument:
    return MarkedDocument(problems=[Problem(line, (), f"this is not usable YAML: {reason}")])


class _Reader:
    def __init__(self, loader: _Loader) -> None:
        self._loader = loader
        self.lines: dict[Where, int] = {}
        self.problems: list[Problem] = []
        self._visited: set[int] = set()

    def read(self, node: yaml.Node, where: Where) -> object:
        self.lines.setdefault(where, node.start_mark.line + 1)
        if isinstance(node, yaml.CollectionNode):
            # An alias to a list or mapping could repeat itself without end.
            if id(node) in self._visited:
                self._complain(self.lines[where], where, "is an alias to a list or mapping; write it out")
                return None
            self._visited.add(id(node))
        if isinstance(node, yaml.MappingNode):
            return dict(self._items(node, where))
        if isinstance(node, yaml.SequenceNode):
            return [self.read(child, (*where, index)) for index, child in enumerate(node.value)]
        try:
            value: object = self._loader.construct_object(node)
        except yaml.constructor.ConstructorError as error:
            self._complain(self.lines[where], where, error.problem or "has an unknown tag")
            return None
        except (ValueError, ArithmeticError, LookupError) as error:
            self._complain(self.lines[where], where, f"cannot be read: {error}")
            return None
        return value

    def _items(self, node: yaml.MappingNode, where: Where) -> Iterator[tuple[str, object]]:
        seen: dict[str, int] = {}
        for key, child in node.value:
            line = key.start_mark.line + 1
            if not isinstance(key, yaml.ScalarNode):
                self._complain(line, where, "has a field whose name is not text")
                continue
            name = str(key.value)
            self.lines[(*where, name)] = line
            if name in seen:
                self._complain(line, (*where, name), f"is a duplicate of the field on line {seen[name]}")
                continue
            seen[name] = line
            yield name, self.read(child, (*where, name))

    def _complain(self, line: int, where: Where, reason: str) -> None:
        self.problems.append(Problem(line, where, reason))
