"""``nearedge keys``."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import anyio
import typer

from nearedge.console import fail, load_settings, out, show

if TYPE_CHECKING:
    from edge.accounts import Key, KeyService

app = typer.Typer(no_args_is_help=True, help="API keys of this node's edges.")

T = TypeVar("T")
Home = Annotated[Path | None, typer.Option(help="Directory of the node's state")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON")]


@app.command()
def create(
    name: Annotated[str, typer.Option(help="What the key is for")] = "default",
    scope: Annotated[
        list[str] | None, typer.Option(help="inference or superadmin; may be given twice")
    ] = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Make a key and show it, this once. Only its SHA-256 is kept."""
    from edge.accounts import KeyOrder, Scope, parse_scopes
    from shared.http.json import encode

    try:
        scopes = parse_scopes(scope or [Scope.INFERENCE])
    except ValueError as error:
        fail(str(error), code=2)
    new = _with_keys(home, lambda keys: keys.create(KeyOrder(name, scopes)))
    if as_json:
        fields = {"id": new.key.id, "name": name, "scopes": sorted(new.key.scopes), "key": new.raw}
        typer.echo(encode(fields))
        return
    out.print(f"id      {new.key.id}")
    out.print(f"scopes  {', '.join(sorted(new.key.scopes))}")
    out.print(f"key     [bold]{new.raw}[/]   (shown this once)")


@app.command("list")
def list_keys(home: Home = None, as_json: Json = False) -> None:
    """Show every key, revoked ones too; never the key itself."""
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    from shared.http.json import encode

    async def every(keys: "KeyService") -> "list[Key]":
        return [key async for key in keys.all()]

    found = _with_keys(home, every)
    if as_json:
        rows = [
            {
                "id": key.id,
                "name": key.name,
                "scopes": sorted(key.scopes),
                "created_at": key.created_at,
                "revoked_at": key.revoked_at,
            }
            for key in found
        ]
        typer.echo(encode(rows))
        return
    table = Table("id", "name", "scopes", "created", "revoked", box=box.SIMPLE)
    for key in found:
        dates = (key.created_at[:10], (key.revoked_at or "")[:10])
        table.add_row(*map(escape, (key.id, key.name, ", ".join(sorted(key.scopes)), *dates)))
    show(table)


@app.command()
def revoke(
    key_id: Annotated[str, typer.Argument(metavar="ID", help="As `nearedge keys list` shows it")],
    home: Home = None,
) -> None:
    """End a key. Running edges refuse it within a second, or what edge_key_cache_seconds says."""
    if not _with_keys(home, lambda keys: keys.revoke(key_id)):
        fail(f"there is no active key {key_id}; `nearedge keys list` shows them all")
    out.print(f"revoked {key_id}")


def _with_keys(home: Path | None, act: Callable[["KeyService"], Awaitable[T]]) -> T:
    from edge.accounts import open_registry
    from edge.store import StoreError

    settings = load_settings(home=home)

    async def run() -> T:
        async with open_registry(settings.home, settings.fleet_url) as registry:
            return await act(registry.keys)

    try:
        return anyio.run(run)
    except StoreError as error:
        fail(f"the database cannot be used: {error}")
