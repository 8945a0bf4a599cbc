"""``nearedge settings``."""

from typing import Annotated

import typer


def settings(as_json: Annotated[bool, typer.Option("--json", help="Print a JSON array")] = False) -> None:
    """List every setting with its default and meaning."""
    from dataclasses import asdict

    from rich.markup import escape

    from nearedge.console import out
    from nearedge.settings import Settings
    from shared.http.json import encode
    from shared.settings import FILE_VARIABLE, describe

    known = list(describe(Settings))
    if as_json:
        typer.echo(encode([asdict(setting) for setting in known]))
        return
    out.print("Each is a variable, or, in small letters and without NEAREDGE_, a line of the TOML file that")
    out.print(f"{FILE_VARIABLE} names. A variable outweighs the file.\n")
    for setting in known:
        out.print(f"[bold]{setting.variable}[/]={escape(setting.default)}", soft_wrap=True)
        out.print(f"    {escape(setting.description)}", soft_wrap=True)
