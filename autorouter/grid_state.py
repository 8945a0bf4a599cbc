"""What is known of the edges right now: the poller writes it, the choice reads it."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class ModelState:
    """One model of one edge. ``busy`` from its soft limit and ``full`` from its hard one on, until it is down
    to 80 % of that; only a model that is ``ready`` takes requests.
    """

    id: str
    ready: bool = True
    busy: bool = False
    full: bool = False


@dataclass(frozen=True, slots=True)
class EdgeState:
    """One edge. ``models`` by every name that they answer to, in lower case; None as long as the edge has
    never told. An edge that is down keeps those that it told last.
    """

    up: bool = True
    draining: bool = False
    models: Mapping[str, ModelState] | None = None


UNKNOWN = EdgeState()
"""An edge that nobody has heard of yet: it gets the benefit of the doubt."""


@dataclass(frozen=True, slots=True)
class GridState:
    """The edges by the id of their region. An edge that is not in ``edges`` is UNKNOWN.

    ``watched`` tells whether the edges are polled at all; if not, nobody knows which models they serve.
    """

    edges: Mapping[str, EdgeState] = field(default_factory=dict)
    watched: bool = False

    def of(self, region_id: str) -> EdgeState:
        return self.edges.get(region_id, UNKNOWN)
