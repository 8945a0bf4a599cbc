import io
import time

import pytest
from rich.console import Console

from nearedge.progress import Lines, bars


def console(*, terminal: bool) -> tuple[Console, io.StringIO]:
    file = io.StringIO()
    return Console(file=file, force_terminal=terminal, width=80, color_system=None), file


@pytest.mark.parametrize("terminal", [True, False])
def test_a_download_is_named_and_measured(terminal: bool) -> None:
    shown, file = console(terminal=terminal)
    with bars(shown) as progress:
        with progress.meter("model [a] 1.0", 2_000_000) as meter:
            meter.show(1_000_000, 2_000_000)
            meter.show(2_000_000, 2_000_000)
        progress.say("making [b]")
    assert "fetched model [a] 1.0 (2.0 MB)" in file.getvalue()
    assert "making [b]" in file.getvalue()


@pytest.mark.parametrize("terminal", [True, False])
def test_what_fails_is_not_called_fetched(terminal: bool) -> None:
    shown, file = console(terminal=terminal)

    def fail() -> None:
        with bars(shown) as progress, progress.meter("a") as meter:
            meter.show(1, None)
            raise ValueError("x")

    with pytest.raises(ValueError, match="x"):
        fail()
    assert "fetched" not in file.getvalue()


@pytest.mark.parametrize("terminal", [True, False])
def test_nothing_is_written_when_there_is_nothing_to_do(terminal: bool) -> None:
    shown, file = console(terminal=terminal)
    with bars(shown):
        pass
    assert file.getvalue() == ""


def test_a_bar_moves_on_a_terminal() -> None:
    shown, file = console(terminal=True)
    with bars(shown) as progress, progress.meter("model", 4_000_000) as meter:
        meter.show(1_000_000, 4_000_000)
        time.sleep(0.5)
    assert "1.0/4.0 MB" in file.getvalue()


def test_long_downloads_are_heard_of_now_and_then() -> None:
    shown, file = console(terminal=False)
    with Lines(shown, every_seconds=0).meter("model", 4_000_000) as meter:
        meter.show(1_000_000, 4_000_000)
    assert "  model: 1.0 MB of 4.0 MB\n" in file.getvalue()
