"""``nearedge autorouter`` and ``nearedge edge``: one service each."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nearedge.console import fail, load_settings
from nearedge.settings import Settings

if TYPE_CHECKING:
    from socket import socket

    from starlette.types import ASGIApp

    from shared.http.drain import Drain

Host = Annotated[str | None, typer.Option(help="Address to bind", show_default="from the settings")]
Port = Annotated[int | None, typer.Option(help="Port to bind; 0 picks one", show_default="from the settings")]
Home = Annotated[Path | None, typer.Option(help="Directory of this node's state")]
WithParent = Annotated[int | None, typer.Option("--end-with-parent", metavar="PID", hidden=True)]


def autorouter(
    host: Host = None, port: Port = None, home: Home = None, end_with_parent: WithParent = None
) -> None:
    """Run the autorouter until SIGTERM or Ctrl-C. SIGHUP has it read regions.yaml again."""
    from autorouter.app import build_service
    from autorouter.geoip import GeoIPError
    from autorouter.reload import hold
    from nearedge import parent
    from shared import logs, server
    from shared.http.drain import Drain
    from shared.regions import RegionsError
    from shared.settings import SettingsError

    if end_with_parent is not None:
        parent.end_with_parent(end_with_parent)
    settings = load_settings(autorouter_host=host, autorouter_port=port, home=home)
    logs.configure(settings.log_level, settings.log_format)
    drain = Drain()
    hold()
    try:
        app = build_service(settings, drain=drain)
        listener = server.bind(settings.autorouter_host, settings.autorouter_port)
    except SettingsError as error:
        fail(str(error), code=2)
    except (RegionsError, GeoIPError, server.BindError) as error:
        fail(str(error))
    _serve(app, listener, drain, settings)


def edge(
    region: Annotated[
        str | None, typer.Option(help="Id of the region", show_default="from the settings")
    ] = None,
    host: Host = None,
    port: Port = None,
    home: Home = None,
    end_with_parent: WithParent = None,
) -> None:
    """Run one edge until SIGTERM or Ctrl-C."""
    from edge.app import build_app
    from edge.models.catalogue import CatalogueError, load_catalogue
    from edge.models.prices import PricesError, read_prices
    from edge.models.served import NotInstalledError, ServedModels, UnknownModelError
    from nearedge import parent
    from shared import logs, regions, server
    from shared.http.drain import Drain

    if end_with_parent is not None:
        parent.end_with_parent(end_with_parent)
    settings = load_settings(edge_region=region, edge_host=host, edge_port=port, home=home)
    logs.configure(settings.log_level, settings.log_format)
    try:
        grid = regions.load(settings.regions_file or regions.default_path())
        here = grid.get(settings.edge_region)
        if here is None:
            name = "NEAREDGE_EDGE_REGION" if region is None else "--region"
            fail(
                f"{name}: {settings.edge_region!r} is no region of the grid; "
                "`nearedge regions list` shows them all",
                code=2,
            )
        settings = settings.model_copy(update={"edge_region": here.id})
        catalogue = load_catalogue()
        if settings.edge_prices_file is not None:
            catalogue = catalogue.priced(read_prices(settings.edge_prices_file, catalogue))
        models = ServedModels(catalogue, settings)
        listener = server.bind(settings.edge_host, settings.edge_port)
    except (
        regions.RegionsError,
        CatalogueError,
        PricesError,
        NotInstalledError,
        UnknownModelError,
        server.BindError,
    ) as error:
        fail(str(error))
    drain = Drain()
    _serve(build_app(settings, models, drain), listener, drain, settings)


def _serve(app: "ASGIApp", listener: "socket", drain: "Drain", settings: Settings) -> None:
    from shared import server

    try:
        server.run(app, listener, drain=drain, settings=settings)
    except server.StartError as error:
        fail(f"the service did not start: {error}")
