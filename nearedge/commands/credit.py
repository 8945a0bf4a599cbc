"""``nearedge credits``."""

from collections.abc import Awaitable, Callable, Sequence
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import anyio
import typer

from nearedge.console import fail, load_settings, out, show

if TYPE_CHECKING:
    from edge.accounts.credits import CreditService
    from edge.store import Account, LedgerRow

app = typer.Typer(no_args_is_help=True, help="Credits of tenants, who pay for what they use.")

T = TypeVar("T")
Home = Annotated[Path | None, typer.Option(help="Directory of the node's state")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON")]
TenantId = Annotated[str, typer.Argument(metavar="TENANT", help="Id of the tenant")]

LISTED = 20


@app.command(context_settings={"ignore_unknown_options": True})
def grant(
    tenant: TenantId,
    amount: Annotated[str, typer.Argument(help="In units of the currency, such as 12.50; -5 takes away")],
    note: Annotated[str, typer.Option(help="Why, for the ledger")] = "",
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Give a tenant credits. Running edges know within a second."""
    from edge.accounts import NoSuchTenant
    from edge.accounts.wallet import units
    from shared.http.json import encode

    micro = _micro(amount)

    async def act(service: "CreditService") -> tuple[str, int]:
        row = await service.grant(tenant, micro, note)
        return row.id, (await service.account(tenant)).credits_micro

    try:
        entry, left = _with_credits(home, act)
    except (NoSuchTenant, ValueError) as error:
        fail(str(error))
    if as_json:
        typer.echo(encode({"id": entry, "tenant_id": tenant, "amount_micro": micro, "credits_micro": left}))
        return
    out.print(f"{tenant} has {units(left)}")


@app.command("show")
def show_credits(tenant: TenantId = "default", home: Home = None, as_json: Json = False) -> None:
    """Show what a tenant has, what edges hold of it, and the last changes."""
    from dataclasses import asdict

    from rich import box
    from rich.markup import escape
    from rich.table import Table

    from edge.accounts.wallet import units
    from shared.http.json import encode

    async def act(service: "CreditService") -> "tuple[Account, Sequence[LedgerRow]]":
        return await service.account(tenant), await service.ledger(tenant, limit=LISTED)

    account, entries = _with_credits(home, act)
    if as_json:
        fields = {
            "tenant_id": tenant,
            "credits_micro": account.credits_micro,
            "balance_micro": account.balance_micro,
            "leased_micro": account.leased_micro,
            "ledger": [asdict(entry) for entry in entries],
        }
        typer.echo(encode(fields))
        return
    out.print(
        f"{tenant} has {units(account.credits_micro)}, of which edges hold {units(account.leased_micro)}"
    )
    table = Table("at", "what", "amount", "note", box=box.SIMPLE)
    for entry in entries:
        table.add_row(*map(escape, (entry.at[:19], entry.kind, units(entry.amount_micro), entry.note)))
    show(table)


def _micro(amount: str) -> int:
    from edge.models.prices import MICRO

    try:
        micro = Decimal(amount) * MICRO
    except InvalidOperation:
        fail(f"{amount!r} is no amount; write it like 12.50", code=2)
    if not micro.is_finite() or micro != int(micro) or abs(micro) > 10**15:
        fail(f"{amount!r} is no amount: at most six decimals, and a billion units", code=2)
    return int(micro)


def _with_credits(home: Path | None, act: Callable[["CreditService"], Awaitable[T]]) -> T:
    from edge.accounts.credits import CreditService
    from edge.store import CreditStore, StoreError, open_fleet

    settings = load_settings(home=home)

    async def run() -> T:
        async with open_fleet(settings.home, settings.fleet_url) as database:
            return await act(CreditService(CreditStore(database)))

    try:
        return anyio.run(run)
    except StoreError as error:
        fail(f"the database cannot be used: {error}")
