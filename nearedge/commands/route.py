"""``nearedge route``."""

from contextlib import closing
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nearedge.console import fail, load_settings, out, show
from nearedge.settings import Settings

if TYPE_CHECKING:
    from autorouter.explain import Candidate, Explanation
    from autorouter.geoip import GeoIPInfo
    from autorouter.grid import Grid
    from autorouter.grid_state import GridState
    from autorouter.networks import Address
    from autorouter.place import Place

app = typer.Typer(no_args_is_help=True, help="What the autorouter answers.")

SHOWN = 40
"""Regions of the table, at most; the best ones."""


# One command alone would swallow its name.
@app.callback()
def _route() -> None:
    pass


@app.command()
def explain(
    address: Annotated[str, typer.Argument(metavar="IP", help="The caller's IPv4 or IPv6 address")],
    scope: Annotated[str, typer.Option(help="country or global, as in the query of /v1/route")] = "country",
    model: Annotated[str | None, typer.Option(help="A model that the edge must serve")] = None,
    cdn: Annotated[
        bool,
        typer.Option(
            help="Place the caller as one who asks through the CDN of the settings, where they name one"
        ),
    ] = True,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON object, with every region")] = False,
) -> None:
    """Show which region a caller from an address is sent to, and how that was decided."""
    from autorouter import explain as explaining
    from autorouter.choose import Scope
    from autorouter.client_address import parse_address
    from autorouter.geoip import GeoIP, GeoIPError, default_path
    from autorouter.grid import load_grid
    from autorouter.locate import cdn_place
    from autorouter.public_address import public_address
    from shared.http.json import encode
    from shared.regions import RegionsError
    from shared.settings import SettingsError

    settings = load_settings()
    if scope not in tuple(Scope):
        fail(f"--scope: {scope!r} is neither country nor global", code=2)
    parsed = parse_address(address)
    if parsed is None:
        fail(f"{address!r} is not an IP address; give one such as 128.100.100.128", code=2)
    public = public_address(parsed)
    try:
        grid = load_grid(settings)
        with closing(GeoIP.open(default_path(settings))) as geoip:
            place, info = geoip.place(parsed), geoip.info
    except SettingsError as error:
        fail(str(error), code=2)
    except (RegionsError, GeoIPError) as error:
        fail(str(error))
    told_by_cdn = cdn_place(place, settings) if cdn else None
    place = told_by_cdn or place
    state = edge_states(settings, grid)
    told = explaining.explain(place, Scope(scope), model, grid, state)
    if as_json:
        facts = {
            "address": str(public or parsed),
            "place": place,
            "through_cdn": told_by_cdn is not None,
            "geoip": info,
            "scope": scope,
            "model": model,
        }
        typer.echo(encode(facts | _facts(told, state)))
        return
    _say("address", _folded(address, public or parsed))
    through = f", as for callers through {' or '.join(settings.autorouter_cdn)}" if told_by_cdn else ""
    _say("place", _where(public, place, info, through))
    _say("asked for", f"scope {scope}, {f'model {model}' if model else 'any model'}")
    _say("rule", _rule(told, place))
    _say("distance", _counted(told, place, scope, grid))
    _say("edges", _asked(state))
    _print_candidates(told, state)
    _print_choice(told)


def edge_states(settings: Settings, grid: "Grid") -> "GridState":
    """Ask every edge once how it is, if there is a secret to ask with."""
    import anyio

    from autorouter.poller import Poller

    return anyio.run(Poller.of(settings, grid.regions).survey)


def _say(label: str, text: str) -> None:
    out.print(f"{label:<10} {text}", markup=False)


def _folded(text: str, address: "Address") -> str:
    return str(address) if text.strip() == str(address) else f"{address}, given as {text.strip()}"


def _where(address: "Address | None", place: "Place | None", info: "GeoIPInfo", through: str) -> str:
    if address is None:
        return "unknown: not a public address"
    built = datetime.fromtimestamp(info.build_epoch, UTC).date()
    file = f"{info.file} ({info.database_type}, built {built})"
    if place is None:
        return f"unknown: not in {file}"
    area = "-".join(filter(None, (place.country or "unknown country", place.subdivision)))
    spot = f"{place.lat}, {place.lon}" if place.lat is not None else "unknown coordinates"
    return f"{area}, {spot}{through}, by {file}"


def _rule(told: "Explanation", place: "Place | None") -> str:
    if told.rule is not None:
        return f"{told.rule}, from the overrides of the regions file"
    return f"none for {place.country}" if place is not None and place.country else "none"


def _counted(told: "Explanation", place: "Place | None", scope: str, grid: "Grid") -> str:
    from autorouter.explain import Origin

    if told.origin is Origin.CALLER:
        return "from the caller"
    country = place.country if place is not None else None
    own = (
        f"{country}'s in the order of the file, others "
        if scope == "country" and country in grid.at_home
        else ""
    )
    if told.origin is Origin.COUNTRY:
        return f"{own}from the middle of {country}"
    return f"{own}from the default region, {grid.default.id}"


def _asked(state: "GridState") -> str:
    if state.watched:
        return "each was asked once, just now"
    return "not asked: all count as available, whatever the model"


def _print_candidates(told: "Explanation", state: "GridState") -> None:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE)
    for heading in ("", "region", "country", "distance", "edge", "answer"):
        table.add_column(heading, justify="right" if heading in ("", "distance") else "left")
    for number, candidate in enumerate(told.candidates[:SHOWN], 1):
        away = candidate.distance_km
        table.add_row(
            str(number) if candidate.standing is not None else "",
            candidate.region.id,
            candidate.region.country,
            f"{away:,.0f} km" if away is not None else "unknown",
            _state(candidate, state),
            _part(candidate, told),
        )
    if out.is_terminal:
        out.print(table)
    else:
        show(table)
    if len(told.candidates) > SHOWN:
        out.print(f"and {len(told.candidates) - SHOWN} more, which --json shows\n")


def _state(candidate: "Candidate", state: "GridState") -> str:
    from autorouter.standing import Standing

    if not state.watched:
        return "not asked"
    edge = candidate.edge
    words = {
        None: "does not serve it" if edge.models is not None else "never heard of",
        Standing.READY: "up",
        Standing.BUSY: "up, busy",
        Standing.LOADING: "up, still loading",
        Standing.UNHEARD: "not heard of yet",
        Standing.FULL: "up, full",
        Standing.DOWN: "down" if edge.models is not None else "down, never heard of",
        Standing.DRAINING: "draining",
    }
    return words[candidate.standing]


def _part(candidate: "Candidate", told: "Explanation") -> str:
    choice = told.choice
    if choice is None:
        return ""
    if candidate.region == choice.region:
        return "chosen"
    return "fallback" if candidate.region in choice.fallbacks else ""


def _print_choice(told: "Explanation") -> None:
    choice = told.choice
    if choice is None:
        _say("answer", f"404: {told.refusal}")
        return
    why = {
        "country": "the first of the caller's country",
        "nearest": "the nearest",
        "override": "the first of the rule",
        "named": "named before the model",
        "default": "the default, since nobody can tell where the caller is",
    }[choice.reason]
    guess = "; degraded, since none is available" if choice.degraded else ""
    _say("answer", f"{choice.region.id} ({choice.reason}): {why}{guess}")
    _say("fallbacks", ", ".join(region.id for region in choice.fallbacks) or "none")


def _facts(told: "Explanation", state: "GridState") -> dict[str, Any]:
    choice = told.choice
    return {
        "rule": told.rule,
        "origin": told.origin,
        "watched": state.watched,
        "candidates": [
            {
                "region": one.region.id,
                "country": one.region.country,
                "distance_km": one.distance_km,
                "standing": one.standing.name.lower() if one.standing is not None else None,
                "up": one.edge.up,
                "draining": one.edge.draining,
                "models": sorted({model.id for model in one.edge.models.values()})
                if one.edge.models is not None
                else None,
            }
            for one in told.candidates
        ],
        "answer": None
        if choice is None
        else {
            "region": choice.region.id,
            "reason": choice.reason,
            "degraded": choice.degraded,
            "distance_km": choice.distance_km,
            "fallbacks": [region.id for region in choice.fallbacks],
        },
        "refusal": told.refusal,
    }
