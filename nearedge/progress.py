"""Shows what is being fetched: bars on a terminal, plain lines elsewhere. Both on stderr."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    DownloadColumn,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.progress import Progress as RichProgress

from nearedge import console as consoles
from shared.artifacts import Meter, Progress, megabytes


@contextmanager
def bars(console: Console = consoles.err) -> Iterator[Progress]:
    """Show progress on *console* until the context ends. Nothing is shown before there is something to."""
    if not console.is_terminal:
        yield Lines(console)
        return
    shown = RichProgress(
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
    )
    try:
        yield Bars(shown)
    finally:
        shown.stop()


class Bars(Progress):
    """A bar for each download under way, and a line for each that is done."""

    def __init__(self, shown: RichProgress) -> None:
        self._shown = shown

    @contextmanager
    def meter(self, label: str, total_bytes: int | None = None) -> Iterator[Meter]:
        self._shown.start()
        task = self._shown.add_task(escape(label), total=total_bytes)
        meter = _Bar(self._shown, task)
        try:
            yield meter
        finally:
            self._shown.remove_task(task)
        self.say(_done(label, meter.done_bytes))

    def say(self, message: str) -> None:
        self._shown.console.print(escape(message))


class _Bar(Meter):
    def __init__(self, shown: RichProgress, task: TaskID) -> None:
        self._shown = shown
        self._task = task
        self.done_bytes = 0

    def show(self, done_bytes: int, total_bytes: int | None) -> None:
        self.done_bytes = done_bytes
        self._shown.update(self._task, completed=done_bytes, total=total_bytes)


class Lines(Progress):
    """A line when a download starts, every few seconds while it runs, and when it is done."""

    def __init__(self, console: Console, *, every_seconds: float = 10.0) -> None:
        self._console = console
        self._every_seconds = every_seconds

    @contextmanager
    def meter(self, label: str, total_bytes: int | None = None) -> Iterator[Meter]:
        self.say(f"fetching {label}{f' ({megabytes(total_bytes)})' if total_bytes else ''}")
        line = _Line(self, label, self._every_seconds)
        yield line
        self.say(_done(label, line.done_bytes))

    def say(self, message: str) -> None:
        self._console.print(escape(message), soft_wrap=True)


class _Line(Meter):
    def __init__(self, lines: Lines, label: str, every_seconds: float) -> None:
        self._lines = lines
        self._label = label
        self._every_seconds = every_seconds
        self._said = time.monotonic()
        self.done_bytes = 0

    def show(self, done_bytes: int, total_bytes: int | None) -> None:
        self.done_bytes = done_bytes
        if time.monotonic() - self._said >= self._every_seconds:
            self._said = time.monotonic()
            of_all = f" of {megabytes(total_bytes)}" if total_bytes else ""
            self._lines.say(f"  {self._label}: {megabytes(done_bytes)}{of_all}")


def _done(label: str, done_bytes: int) -> str:
    return f"fetched {label}{f' ({megabytes(done_bytes)})' if done_bytes else ''}"
