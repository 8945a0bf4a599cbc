"""``nearedge regions``."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nearedge.console import err, fail, load_settings, out, show

if TYPE_CHECKING:
    from rich.table import Table

    from nearedge.ping import Reach
    from shared.regions import Regions

app = typer.Typer(no_args_is_help=True, help="The regions of the grid.")


@app.command("list")
def list_regions(
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON array, with coordinates")] = False,
) -> None:
    """Show every region: where it is, where it answers and its other names."""
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    from shared.http.json import encode

    grid = _load()
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
    _print(table)


@app.command()
def ping(
    count: Annotated[int, typer.Option(min=1, max=1000, help="Round trips to each edge")] = 5,
    timeout: Annotated[
        float, typer.Option(min=0.01, max=60, help="Seconds after which a request counts as lost")
    ] = 2.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON array, best first")] = False,
) -> None:
    """Measure the latency to every edge from here, best first.

    A round trip is GET /health on a connection that is open already, up to the head of the answer. To
    connect is to look up the name, TCP and TLS. Status 1 if no edge answers.
    """
    import anyio

    from nearedge.ping import ping
    from shared.http.json import encode

    grid = _load()
    err.print(f"Asking {len(grid)} {'edge' if len(grid) == 1 else 'edges'}…")

    async def measured() -> list["Reach"]:
        return await ping(grid, count=count, timeout_seconds=timeout)

    reaches = anyio.run(measured)
    if as_json:
        typer.echo(encode([_row(reach) for reach in reaches]))
    else:
        _print(_latencies(reaches))
    if not any(reach.answers for reach in reaches):
        fail("no edge answers; `nearedge regions list` shows where they were looked for")


def _latencies(reaches: Sequence["Reach"]) -> "Table":
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=box.SIMPLE, title="Round trips in milliseconds", title_justify="left")
    table.add_column("id", no_wrap=True)
    for heading in ("median", "min", "max", "connect", "lost"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("edge", overflow="fold")
    for reach in reaches:
        times = (reach.median_ms, reach.min_ms, reach.max_ms, reach.connect_ms)
        lost = f"{reach.lost / reach.sent:.0%}" if reach.sent else "-"
        edge = f"{reach.region.name}: {reach.reason}" if reach.reason else reach.region.name
        table.add_row(escape(reach.region.id), *map(_ms, times), lost, escape(edge))
    return table


def _ms(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"


def _row(reach: "Reach") -> dict[str, Any]:
    return {
        "region": reach.region.id,
        "name": reach.region.name,
        "url": reach.region.url,
        "ready": reach.ready,
        "median_ms": reach.median_ms,
        "min_ms": reach.min_ms,
        "max_ms": reach.max_ms,
        "connect_ms": reach.connect_ms,
        "sent": reach.sent,
        "lost": reach.lost,
        "reason": reach.reason,
    }


def _load() -> "Regions":
    """Read the regions file; end the command with its faults if there are any."""
    from shared import regions

    try:
        return regions.load(load_settings().regions_file or regions.default_path())
    except regions.RegionsError as error:
        fail(str(error))


def _print(table: "Table") -> None:
    if out.is_terminal:
        out.print(table)
    else:
        show(table)
