"""The ``nearedge`` command."""

import sys

import typer

from nearedge.commands import (
    credit,
    demo,
    geoip,
    keys,
    models,
    regions,
    route,
    serve,
    settings,
    tenants,
    up,
)
from nearedge.console import fail

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
app.command()(up.up)
app.command()(serve.autorouter)
app.command()(serve.edge)
app.add_typer(models.app, name="models")
app.add_typer(geoip.app, name="geoip")
app.add_typer(regions.app, name="regions")
app.add_typer(route.app, name="route")
app.add_typer(keys.app, name="keys")
app.add_typer(tenants.app, name="tenants")
app.add_typer(credit.app, name="credits")
app.add_typer(demo.app, name="demo")
app.command()(settings.settings)


OWN = frozenset({"autorouter", "edge", "nearedge", "shared"})
OF_AUTOROUTER = frozenset({"geoip2", "maxminddb", "prometheus_client"})


def main() -> None:
    try:
        app()
    except ModuleNotFoundError as error:
        extra = missing_extra(error.name)
        if extra is None:
            raise
        fail(
            f"{error.name} is not installed; this command needs the {extra} extra: "
            f"run `pip install '.[{extra}]'` in a clone of Nearedge"
        )


def missing_extra(module: str | None) -> str | None:
    """Return the extra that brings *module*; None if its absence is a bug of ours or of Python's."""
    package = (module or "").partition(".")[0]
    if not package or package in OWN or package in sys.stdlib_module_names:
        return None
    return "autorouter" if package in OF_AUTOROUTER else "edge"
