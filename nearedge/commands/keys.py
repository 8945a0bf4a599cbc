"""``nearedge keys``."""

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nearedge.accounts import parse_moment, with_registry
from nearedge.console import fail, out, show
from nearedge.durations import parse_duration
from nearedge.settings import Settings

if TYPE_CHECKING:
    from edge.accounts import Key, NewKey, Registry

app = typer.Typer(no_args_is_help=True, help="API keys of this node's edges, or of its fleet.")

KeyId = Annotated[str, typer.Argument(metavar="ID", help="As `nearedge keys list` shows it")]
Home = Annotated[Path | None, typer.Option(help="Directory of the node's state")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON")]
MAX_LIMIT = 2**31 - 1


@app.command()
def create(
    name: Annotated[str, typer.Option(help="What the key is for")] = "default",
    scope: Annotated[
        list[str] | None,
        typer.Option(
            help="inference, read, keys or superadmin; may be given several times", show_default="inference"
        ),
    ] = None,
    tenant: Annotated[str, typer.Option(help="Id of the tenant that owns it")] = "default",
    expires_in: Annotated[str | None, typer.Option(help="How long it lives: 90s, 15m, 12h, 30d")] = None,
    expires_at: Annotated[str | None, typer.Option(help="When it ends, like 2027-01-31T23:59:59Z")] = None,
    model: Annotated[
        list[str] | None, typer.Option(help="Model it may be used for; may be given several times")
    ] = None,
    region: Annotated[
        list[str] | None, typer.Option(help="Region it may be used in; may be given several times")
    ] = None,
    requests_per_minute: Annotated[
        int | None, typer.Option(min=1, max=MAX_LIMIT, help="Requests with it in a minute")
    ] = None,
    tokens_per_minute: Annotated[
        int | None, typer.Option(min=1, max=MAX_LIMIT, help="Tokens with it in a minute")
    ] = None,
    concurrent_requests: Annotated[
        int | None, typer.Option(min=1, max=MAX_LIMIT, help="Requests with it at a time")
    ] = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Make a key and show it, this once. Only its SHA-256 is kept."""
    from edge.accounts import KeyOrder, Limits, Scope, parse_scopes

    async def make(registry: "Registry", settings: Settings) -> "NewKey":
        order = KeyOrder(
            name=name,
            scopes=parse_scopes(scope or [Scope.INFERENCE]),
            tenant_id=tenant,
            models=_models(model) if model else None,
            regions=_regions(region, settings) if region else None,
            limits=Limits(requests_per_minute, tokens_per_minute, concurrent_requests),
            expires_at=_expiry(expires_in, expires_at),
        )
        return await registry.keys.create(order)

    _show_new(with_registry(home, make), as_json=as_json)


@app.command()
def rotate(
    key_id: KeyId,
    overlap: Annotated[str, typer.Option(help="How long the old key goes on: 0s, 15m, 12h, 7d")] = "24h",
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Make a key like ID with another text, and show it, this once. The old one ends after the overlap."""

    async def act(registry: "Registry", _settings: Settings) -> "NewKey":
        return await registry.keys.rotate(key_id, overlap=parse_duration(overlap))

    _show_new(with_registry(home, act), as_json=as_json)


@app.command("list")
def list_keys(
    tenant: Annotated[
        str | None, typer.Option(help="Only this tenant's keys", show_default="of every tenant")
    ] = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Show every key, revoked and expired ones too; never the key itself."""
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    from edge.api.token_types import describe
    from shared.http.json import encode

    async def every(registry: "Registry", _settings: Settings) -> "list[Key]":
        return [key async for key in registry.keys.all(tenant_id=tenant)]

    found = [describe(key) for key in with_registry(home, every)]
    if as_json:
        typer.echo(encode(found))
        return
    table = Table("id", "tenant", "name", "scopes", "created", "expires", "revoked", box=box.SIMPLE)
    for key in found:
        dates = (key["created_at"], key["expires_at"] or "", key["revoked_at"] or "")
        cells = (key["id"], key["tenant_id"], key["name"], ", ".join(key["scopes"]))
        table.add_row(*map(escape, (*cells, *(date[:10] for date in dates))))
    show(table)


@app.command()
def revoke(key_id: KeyId, home: Home = None) -> None:
    """End a key. Running edges refuse it within a second, those of a fleet within two."""

    async def act(registry: "Registry", _settings: Settings) -> bool:
        return await registry.keys.revoke(key_id)

    if not with_registry(home, act):
        fail(f"there is no active key {key_id}; `nearedge keys list` shows them all")
    out.print(f"revoked {key_id}")


def _show_new(new: "NewKey", *, as_json: bool) -> None:
    from edge.api.token_types import describe
    from shared.http.json import encode

    if as_json:
        typer.echo(encode({**describe(new.key), "key": new.raw}))
        return
    shown = {
        "id": new.key.id,
        "tenant": new.key.tenant_id,
        "scopes": ", ".join(sorted(new.key.scopes)),
        "expires": new.key.expires_at,
    }
    for label, value in shown.items():
        if value is not None:
            out.print(f"{label:<8}{value}")
    out.print(f"{'key':<8}[bold]{new.raw}[/]   (shown this once)")


def _expiry(expires_in: str | None, expires_at: str | None) -> datetime | None:
    if expires_in is not None and expires_at is not None:
        raise ValueError("give --expires-in or --expires-at, not both")
    if expires_in is not None:
        return datetime.now(UTC) + parse_duration(expires_in)
    return parse_moment(expires_at) if expires_at is not None else None


def _models(names: list[str]) -> frozenset[str]:
    from edge.models import load_catalogue

    catalogue = load_catalogue()
    found = {name: catalogue.resolve(name) for name in names}
    for name, known in found.items():
        if known is None:
            raise ValueError(f"--model: there is no model {name!r}; `nearedge models list` shows them all")
    return frozenset(model.id for model in found.values() if model is not None)


def _regions(names: list[str], settings: Settings) -> frozenset[str]:
    from shared import regions

    try:
        grid = regions.load(settings.regions_file or regions.default_path())
    except regions.RegionsError as error:
        fail(str(error))
    found = {name: grid.get(name) for name in names}
    for name, known in found.items():
        if known is None:
            raise ValueError(f"--region: {name!r} is no region; `nearedge regions list` shows them all")
    return frozenset(region.id for region in found.values() if region is not None)
