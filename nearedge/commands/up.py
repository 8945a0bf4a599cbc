"""``nearedge up``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nearedge.console import err, fail, load_settings
from nearedge.settings import Settings

if TYPE_CHECKING:
    from shared.regions import Region


def up(
    edges: Annotated[
        str, typer.Option(help="Regions to start an edge for, joined by commas")
    ] = "yto-01,nyc-01",
    port: Annotated[int, typer.Option(help="Port of the autorouter; the edges take those after it")] = 8080,
    home: Annotated[Path | None, typer.Option(help="Directory of the grid's state")] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON line once everything answers; logs go to stderr")
    ] = False,
) -> None:
    """Start a local grid: an autorouter and edges on this machine. Ctrl-C stops it all."""
    import anyio

    from edge.store import StoreError
    from nearedge import grid, grid_keys, welcome

    settings = load_settings(home=home)
    if settings.tls_cert is not None:
        fail("a local grid speaks plain HTTP on the loopback; unset tls_cert and tls_key for `nearedge up`")
    regions = _regions(settings, edges)
    plan = grid.plan(regions, port, None if as_json else settings.home / "grid" / "logs")
    try:
        with grid.lock(settings.home):
            grid.check_ports(port, len(plan.members))
            _fetch(settings)
            keys = grid_keys.renew(settings.home, settings.fleet_url)
            err.print("Starting the grid: every edge loads its models…")
            show = welcome.print_json if as_json else welcome.print_table
            anyio.run(grid.Grid(plan, settings).run, lambda: show(plan, keys))
    except (grid.GridError, StoreError) as error:
        fail(str(error))
    err.print("The grid has stopped.")


def _regions(settings: Settings, wanted: str) -> "list[Region]":
    from shared import regions

    try:
        known = regions.load(settings.regions_file or regions.default_path())
    except regions.RegionsError as error:
        fail(str(error))
    chosen: list[Region] = []
    for name in filter(None, (part.strip() for part in wanted.split(","))):
        region = known.get(name)
        if region is None:
            fail(f"--edges: {name!r} is no region; `nearedge regions list` shows them all", code=2)
        if region in chosen:
            fail(f"--edges: {region.id} is there twice", code=2)
        chosen.append(region)
    if not chosen:
        fail("--edges: name at least one region", code=2)
    return chosen


def _fetch(settings: Settings) -> None:
    from edge.models import CatalogueError, ensure_models, load_catalogue
    from edge.models.served import UnknownModelError, chosen
    from nearedge.geoip_file import ensure_geoip
    from nearedge.progress import bars
    from shared.artifacts import ArtifactError

    try:
        models = chosen(load_catalogue(), settings)
        with bars() as progress:
            ensure_models(models, settings.cache, progress)
            if settings.geoip_file is None:
                ensure_geoip(settings.cache, progress)
    except (CatalogueError, UnknownModelError, ArtifactError) as error:
        fail(str(error))
