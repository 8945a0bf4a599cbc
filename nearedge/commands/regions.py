"""``nearedge regions``."""

from dataclasses import asdict
from typing import Annotated

import typer

from nearedge.console import fail, load_settings, out, show

app = typer.Typer(no_args_is_help=True, help="The regions of the grid.")


@app.command("list")
def list_regions(
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON array, with coordinates")] = False,
) -> None:
    """Show every region: where it is, where it answers and its other names."""
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    from shared import regions
    from shared.http.json import encode

    try:
        grid = regions.load(load_settings().regions_file or regions.default_path())
    except regions.RegionsError as error:
        fail(str(error))
    if as_json:
        typer.echo(encode([asdict(region) for region in grid]))
        return
    table = Table(box=box.SIMPLE)
    for heading in ("id", "name", "location", "url", "aliases"):
        table.add_column(heading, no_wrap=heading in ("id", "url"), overflow="fold")
    for region in grid:
        notes = region.aliases if region.discoverable else (*region.aliases, "(not discoverable)")
        cells = (region.id, region.name, f"{region.location}, {region.country}", region.url, ", ".join(notes))
        table.add_row(*map(escape, cells))
    if out.is_terminal:
        out.print(table)
    else:
        show(table)
