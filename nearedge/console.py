"""What every subcommand shares: where it prints, how it reads settings and how it gives up."""

import os
from typing import TYPE_CHECKING, Any, NoReturn

from rich.console import Console
from rich.markup import escape

from nearedge.settings import Settings
from shared.settings import SettingsError, load

if TYPE_CHECKING:
    from rich.table import Table

out = Console(soft_wrap=True, highlight=False)
"""Answers: what a script may read."""

err = Console(stderr=True, highlight=False)
"""Progress and complaints: what a person reads."""


WIDEST = 1000
"""Columns of a table that is not to be folded."""


def show(table: "Table") -> None:
    """Print *table* as wide as it is: nothing in it is cut or folded, so that it can be copied."""
    from rich.measure import Measurement

    table.width = Measurement.get(out, out.options.update(width=WIDEST), table).maximum
    out.print(table)


def fail(message: str, *, code: int = 1) -> NoReturn:
    """Say what is wrong and what to change, and end the command with *code*."""
    err.print(f"[bold red]error:[/] {escape(message)}", soft_wrap=True)
    raise SystemExit(code)


def load_settings(**overrides: Any) -> Settings:
    """Read the settings; *overrides* are the command line's own, None where it is silent.

    Ends the command with status 2 when a setting is unknown or invalid.
    """
    try:
        return load(Settings, os.environ, overrides=overrides)
    except SettingsError as error:
        fail(str(error), code=2)
