"""Which parts of a schema some value can fit at all."""

from edge.engines.llm.json_schema import numbers
from edge.engines.llm.json_schema.alternatives import (
    Alternative,
    Array,
    Boolean,
    Node,
    Null,
    Number,
    Object,
    String,
)
from edge.engines.llm.json_schema.errors import too_large
from edge.engines.llm.json_schema.expansion import Expansion, Loop
from edge.engines.llm.json_schema.terminals import Terminals

MAX_NODES = 20_000
OVERLAP_DEPTH = 4
"""Levels of properties and items in which two options of a ``oneOf`` are compared; beyond it they count as
alike."""


class Reach:
    """The nodes below *root* in the order they are met, and which of them are live: some finite value fits
    them."""

    def __init__(self, root: Node, expansion: Expansion, terminals: Terminals) -> None:
        self._expansion = expansion
        self._terminals = terminals
        self.nodes = self._found(root)
        self._live: set[Node] = set()
        grown = True
        while grown:
            grown = False
            for node in reversed(self.nodes):
                if node not in self._live and any(map(self.is_alive, expansion.alternatives(node))):
                    self._live.add(node)
                    grown = True

    def _found(self, root: Node) -> list[Node]:
        seen = {root: None}
        pending = [root]
        for node in pending:
            self._expansion.spend(1)
            if len(pending) > MAX_NODES:
                raise too_large("has too many combinations of its parts", f"{MAX_NODES:,}")
            for alternative in self._expansion.alternatives(node):
                for child in self._children(alternative):
                    if child not in seen:
                        seen[child] = None
                        pending.append(child)
        return pending

    def _children(self, alternative: Alternative) -> list[Node]:
        match alternative:
            case Array():
                return [*alternative.prefix, alternative.items]
            case Object():
                groups = self._terminals.key_groups(alternative)
                return [*alternative.properties.values(), *(node for _, node in groups)]
        return []

    def is_live(self, node: Node) -> bool:
        return not node or node in self._live

    def is_alive(self, alternative: Alternative) -> bool:
        """Whether a value fits *alternative* that is made of live nodes only."""
        match alternative:
            case Null() | Boolean():
                return True
            case Number():
                return self._terminals.number_exists(alternative)
            case String():
                return self._terminals.string(alternative) is not None
            case Array(prefix, items, least):
                if alternative.unique and not prefix and least > 1:
                    texts = self.texts(items)
                    if texts is not None and len(texts) < least:
                        return False
                return all(map(self.is_live, prefix[:least])) and (
                    least <= len(prefix) or self.is_live(items)
                )
            case Object():
                return self._is_alive_object(alternative)

    def live_alternatives(self, node: Node) -> list[Alternative]:
        return [a for a in self._expansion.alternatives(node) if self.is_alive(a)]

    def texts(self, node: Node) -> list[str] | None:
        """Return the JSON texts of all values that fit *node*, None if they cannot be listed."""
        found: dict[str, None] = {}
        for alternative in self.live_alternatives(node):
            texts = self._terminals.texts(alternative)
            if texts is None:
                return None
            found.update(dict.fromkeys(texts))
        return list(found)

    def _is_alive_object(self, of: Object) -> bool:
        if of.most is not None and len(of.required) > of.most:
            return False
        live = self.live_properties(of)
        if not of.required <= live.keys():
            return False
        return len(live) >= of.least or any(self.is_live(node) for _, node in self._terminals.key_groups(of))

    def live_properties(self, of: Object) -> dict[str, Node]:
        """Return the listed keys that an object may have."""
        return {
            name: node
            for name, node in of.properties.items()
            if self.is_live(node) and self._terminals.may_be_key(name, of.names)
        }


def may_fit(expansion: Expansion, node: Node, depth: int = OVERLAP_DEPTH) -> bool:
    """Whether some value may fit *node*; true where that is not looked into."""
    if depth == 0:
        return True
    terminals = Terminals(expansion)
    try:
        alternatives = expansion.alternatives(node)
    except Loop:
        return True

    def possible(alternative: Alternative) -> bool:
        expansion.spend(5)
        match alternative:
            case Number():
                return not numbers.is_empty(alternative)
            case String():
                return terminals.may_overlap(alternative)
            case Array(prefix, items, least):
                needed = [*prefix[:least], *([items] if least > len(prefix) else [])]
                return all(may_fit(expansion, item, depth - 1) for item in needed)
            case Object():
                if alternative.most is not None and len(alternative.required) > alternative.most:
                    return False
                required = (alternative.properties[name] for name in alternative.required)
                return all(may_fit(expansion, inner, depth - 1) for inner in required)
        return True

    return any(map(possible, alternatives))
