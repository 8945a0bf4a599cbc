"""What a benchmark found, as Markdown for people and as JSON for programs."""

import enum
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from benchmarks.figures import Ratio
from benchmarks.machine import Conditions


@dataclass(frozen=True, slots=True)
class Table:
    """``rows`` hold one cell for each of ``columns``."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def markdown(self) -> str:
        """Return the table with its columns aligned, so that it also reads well unrendered.

        Raises:
            ValueError: a row has another number of cells than there are columns.
        """
        if any(len(row) != len(self.columns) for row in self.rows):
            raise ValueError(f"the rows of {self.title!r} do not fit its columns")
        widths = [max(map(len, cells)) for cells in zip(self.columns, *self.rows, strict=True)]
        lines = [_line(self.columns, widths), _line(["-" * width for width in widths], widths)]
        lines += [_line(row, widths) for row in self.rows]
        return "\n".join([f"**{self.title}**", "", *lines])


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    return "| " + " | ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)) + " |"


class Sense(enum.StrEnum):
    AT_LEAST = "at least"
    AT_MOST = "at most"
    UNDER = "under"


@dataclass(frozen=True, slots=True)
class Target:
    """A promise and what was measured of it."""

    claim: str
    measured: Ratio
    sense: Sense
    goal: float

    @property
    def met(self) -> bool:
        match self.sense:
            case Sense.AT_LEAST:
                return self.measured.value >= self.goal
            case Sense.AT_MOST:
                return self.measured.value <= self.goal
            case Sense.UNDER:
                return self.measured.value < self.goal

    def line(self) -> str:
        verdict = "met   " if self.met else "missed"
        return f"{verdict}  {self.claim}: {self.measured.show()}, goal {self.sense} {self.goal:g}"


@dataclass(frozen=True, slots=True)
class Section:
    """The result of one workload. ``figures`` holds every round's raw numbers, for the JSON."""

    workload: str
    reproduce: str
    about: str
    conditions: Conditions
    tables: tuple[Table, ...]
    targets: tuple[Target, ...] = ()
    servers: Mapping[str, str] = field(default_factory=dict)
    """The command line of each server."""
    figures: Mapping[str, Any] = field(default_factory=dict)

    def markdown(self) -> str:
        parts = [f"## {self.workload}", f"    {self.reproduce}", self.about, str(self.conditions)]
        parts += [table.markdown() for table in self.tables]
        if self.targets:
            parts.append("\n".join(f"    {target.line()}" for target in self.targets))
        if self.servers:
            parts.append("\n".join(f"    {name}: {command}" for name, command in self.servers.items()))
        return "\n\n".join(parts) + "\n"

    def as_json(self) -> dict[str, Any]:
        return {
            "workload": self.workload,
            "reproduce": self.reproduce,
            "about": self.about,
            "conditions": asdict(self.conditions),
            "servers": dict(self.servers),
            "figures": dict(self.figures),
            "targets": [
                {
                    "claim": target.claim,
                    "measured": target.measured.value,
                    "low": target.measured.low,
                    "high": target.measured.high,
                    "sense": target.sense.value,
                    "goal": target.goal,
                    "met": target.met,
                }
                for target in self.targets
            ],
        }
