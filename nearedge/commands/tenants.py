"""``nearedge tenants``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nearedge.accounts import with_registry
from nearedge.console import fail, out, show
from nearedge.settings import Settings

if TYPE_CHECKING:
    from edge.accounts import Billing, Registry, Tenant

app = typer.Typer(no_args_is_help=True, help="Tenants: who owns keys, and how what they use is paid for.")

TenantId = Annotated[str, typer.Argument(metavar="ID", help="Up to 64 of a-z, 0-9, '.', '_' and '-'")]
Home = Annotated[Path | None, typer.Option(help="Directory of the node's state")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON")]
MAX_LIMIT = 2**31 - 1
Requests = Annotated[
    int | None,
    typer.Option(min=0, max=MAX_LIMIT, help="Requests of all its keys in a minute; 0 is no limit"),
]
Tokens = Annotated[
    int | None, typer.Option(min=0, max=MAX_LIMIT, help="Tokens of all its keys in a minute; 0 is no limit")
]
Concurrent = Annotated[
    int | None,
    typer.Option(min=0, max=MAX_LIMIT, help="Requests of all its keys at a time; 0 is no limit"),
]


@app.command()
def create(
    tenant_id: TenantId,
    name: Annotated[str | None, typer.Option(help="What people call it", show_default="its id")] = None,
    billing: Annotated[str, typer.Option(help="prepaid, postpaid or unmetered")] = "prepaid",
    requests_per_minute: Requests = None,
    tokens_per_minute: Tokens = None,
    concurrent_requests: Concurrent = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Make a tenant. The limits hold for all its keys together."""
    from edge.accounts import Limits

    async def act(registry: "Registry", _settings: Settings) -> "Tenant":
        limits = Limits(requests_per_minute or None, tokens_per_minute or None, concurrent_requests or None)
        return await registry.tenants.create(tenant_id, name or tenant_id, _billing(billing), limits)

    _show([with_registry(home, act)], as_json=as_json, one=True)


@app.command("list")
def list_tenants(home: Home = None, as_json: Json = False) -> None:
    """Show every tenant."""

    async def act(registry: "Registry", _settings: Settings) -> "list[Tenant]":
        return [tenant async for tenant in registry.tenants.all()]

    _show(with_registry(home, act), as_json=as_json)


@app.command()
def update(
    tenant_id: TenantId,
    name: Annotated[str | None, typer.Option(help="What people call it", show_default="as it is")] = None,
    billing: Annotated[
        str | None, typer.Option(help="prepaid, postpaid or unmetered", show_default="as it is")
    ] = None,
    requests_per_minute: Requests = None,
    tokens_per_minute: Tokens = None,
    concurrent_requests: Concurrent = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Change a tenant. Running edges know as soon as they would know of a revoked key."""
    given = {
        "requests_per_minute": requests_per_minute,
        "tokens_per_minute": tokens_per_minute,
        "concurrent_requests": concurrent_requests,
    }
    limits = {field: value or None for field, value in given.items() if value is not None}
    if name is None and billing is None and not limits:
        fail("nothing to change was given", code=2)

    async def act(registry: "Registry", _settings: Settings) -> "Tenant | None":
        paid = _billing(billing) if billing is not None else None
        return await registry.tenants.update(tenant_id, name=name, billing=paid, limits=limits)

    tenant = with_registry(home, act)
    if tenant is None:
        fail(f"there is no tenant {tenant_id}; `nearedge tenants list` shows them all")
    _show([tenant], as_json=as_json, one=True)


def _billing(word: str) -> "Billing":
    from edge.accounts import Billing

    try:
        return Billing(word)
    except ValueError:
        raise ValueError(f"--billing: {word!r} is none of {', '.join(Billing)}") from None


def _show(tenants: "list[Tenant]", *, as_json: bool, one: bool = False) -> None:
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    from shared.http.json import encode

    rows = [_fields(tenant) for tenant in tenants]
    if as_json:
        typer.echo(encode(rows[0] if one else rows))
        return
    if one:
        for label, value in rows[0].items():
            if value is not None:
                out.print(f"{label:<20}{escape(str(value))}")
        return
    limits = ("requests/min", "tokens/min", "concurrent")
    table = Table("id", "name", "billing", *limits, "created", box=box.SIMPLE)
    for row in rows:
        cells = ["" if value is None else str(value) for value in row.values()]
        table.add_row(*map(escape, (*cells[:-1], cells[-1][:10])))
    show(table)


def _fields(tenant: "Tenant") -> dict[str, Any]:
    return {
        "id": tenant.id,
        "name": tenant.name,
        "billing": tenant.billing.value,
        "requests_per_minute": tenant.limits.requests_per_minute,
        "tokens_per_minute": tenant.limits.tokens_per_minute,
        "concurrent_requests": tenant.limits.concurrent_requests,
        "created_at": tenant.created_at,
    }
