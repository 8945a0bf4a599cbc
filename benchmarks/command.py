"""What the command lines of all benchmarks share."""

import argparse
import json
import shutil
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from benchmarks.processes import BenchmarkError, end_on_signals
from benchmarks.report import Section

T = TypeVar("T")

Workload = Callable[[T], Section]
"""Measures one thing, given what its run has prepared."""

Workloads = Mapping[str, Workload[T]]
"""What can be measured, in the order in which it is."""


def say(line: str) -> None:
    sys.stderr.write(f"{datetime.now(UTC):%H:%M:%S} {line}\n")
    sys.stderr.flush()


def show(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def parser(prog: str, description: str, workloads: Workloads[T]) -> argparse.ArgumentParser:
    """Return a parser of what every benchmark understands."""
    made = argparse.ArgumentParser(prog=prog, description=description)
    made.add_argument("workloads", nargs="*", metavar="WORKLOAD", help=f"{', '.join(workloads)}; all if none")
    made.add_argument("--rounds", type=int, default=5)
    made.add_argument("--json", type=Path, metavar="FILE", help="also write every round's numbers there")
    made.add_argument("--smoke", action="store_true", help="a tiny load that shows whether everything works")
    return made


def check(made: argparse.ArgumentParser, given: argparse.Namespace, workloads: Workloads[T]) -> None:
    """End the command if what is *given* names no workload or no round."""
    if unknown := [name for name in given.workloads if name not in workloads]:
        made.error(f"there is no workload {unknown[0]!r}; there are {', '.join(workloads)}")
    if given.rounds < 1:
        made.error("--rounds is at least 1")


def measure(
    given: argparse.Namespace,
    workloads: Workloads[T],
    facts: Mapping[str, Any],
    prepare: Callable[[Path], T],
) -> int:
    """Run the workloads that are *given*, print each when it is done, and return the exit status.

    *prepare* gets a directory that lives as long as the run. A workload that cannot be measured does not
    keep the others from it; the status is then 1.
    """
    end_on_signals()
    try:
        return _measure(given, workloads, facts, prepare)
    except BenchmarkError as error:
        say(f"error: {error}")
        return 1
    except KeyboardInterrupt:
        say("interrupted; every server has been ended")
        return 130


def _measure(
    given: argparse.Namespace,
    workloads: Workloads[T],
    facts: Mapping[str, Any],
    prepare: Callable[[Path], T],
) -> int:
    show(", ".join(f"{name} {value}" for name, value in facts.items()))
    scratch = Path(tempfile.mkdtemp(prefix="benchmark-"))
    sections: list[Section] = []
    failed = False
    try:
        prepared = prepare(scratch)
        for name in given.workloads or workloads:
            try:
                section = workloads[name](prepared)
            except BenchmarkError as error:
                failed = True
                say(f"{name} failed: {error}")
                continue
            sections.append(section)
            show(section.markdown())
            if given.json is not None:
                write_json(given.json, facts, sections)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    targets = [target for section in sections for target in section.targets]
    show(f"{sum(target.met for target in targets)} of {len(targets)} targets met")
    return 1 if failed else 0


def write_json(file: Path, facts: Mapping[str, Any], sections: Sequence[Section]) -> None:
    content = {"machine": facts, "sections": [section.as_json() for section in sections]}
    file.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", "utf-8")
