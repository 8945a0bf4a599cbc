"""What a benchmark ran on, and whether anything else ran there meanwhile."""

import os
import platform
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import psutil

from shared.cpus import available_cpus

GIB = 1024**3

NOISE = 0.05
"""Share of the cores' time that others may take before a measurement says little."""


def describe() -> dict[str, Any]:
    """Return the facts about this machine that figures depend on."""
    return {
        "cpu": _cpu_model(),
        "cores": available_cpus(),
        "memory_gib": round(psutil.virtual_memory().total / GIB, 1),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "load_average": [round(value, 2) for value in os.getloadavg()],
    }


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text("utf-8").splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return platform.machine()


@dataclass(frozen=True, slots=True)
class Conditions:
    """How quiet the machine was during one measurement; shares are of all its cores' time.

    ``foreign`` was spent by processes that the benchmark did not start, ``stolen`` by other machines on
    the same host, ``idle_peers`` by servers that had nothing to do.
    """

    seconds: float
    foreign: float
    stolen: float
    idle_peers: float

    def worst(self, other: "Conditions") -> "Conditions":
        """Return the worse of both in each respect, and the time of both."""
        return Conditions(
            self.seconds + other.seconds,
            max(self.foreign, other.foreign),
            max(self.stolen, other.stolen),
            max(self.idle_peers, other.idle_peers),
        )

    @property
    def quiet(self) -> bool:
        return self.foreign <= NOISE and self.stolen <= NOISE

    def __str__(self) -> str:
        warning = "" if self.quiet else "THE MACHINE WAS NOT QUIET, THESE NUMBERS SAY LITTLE. "
        return (
            f"{warning}"
            f"Worst measurement of all: other processes took {self.foreign:.1%} of the cores' time, other "
            f"machines on the host {self.stolen:.1%}, idle servers {self.idle_peers:.2%}."
        )


QUIET = Conditions(0.0, 0.0, 0.0, 0.0)


@dataclass(frozen=True, slots=True)
class Look:
    """The processor times so far, in seconds over all cores."""

    at: float
    busy: float
    stolen: float
    ours: float
    idle_peers: float

    @classmethod
    def take(cls, working: Iterable[psutil.Process], idle: Iterable[psutil.Process]) -> Self:
        times = psutil.cpu_times()
        idle_peers = sum(map(cpu_seconds, idle))
        working_seconds = sum(map(cpu_seconds, working))
        itself = psutil.Process().cpu_times()
        return cls(
            time.perf_counter(),
            times.user + times.nice + times.system + times.irq + times.softirq,
            times.steal,
            # Children are counted once they have ended: the programs that made the load.
            working_seconds
            + idle_peers
            + itself.user
            + itself.system
            + itself.children_user
            + itself.children_system,
            idle_peers,
        )

    def until(self, later: "Look") -> Conditions:
        seconds = later.at - self.at
        capacity = seconds * (psutil.cpu_count() or 1)
        foreign = (later.busy - self.busy) - (later.ours - self.ours)
        return Conditions(
            seconds,
            max(foreign, 0.0) / capacity,
            (later.stolen - self.stolen) / capacity,
            (later.idle_peers - self.idle_peers) / capacity,
        )


def cpu_seconds(process: psutil.Process) -> float:
    """Return the processor time that *process* and its living descendants have used."""
    total = 0.0
    try:
        family = [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return 0.0
    for member in family:
        try:
            times = member.cpu_times()
        except psutil.NoSuchProcess:
            continue
        total += times.user + times.system
    return total
