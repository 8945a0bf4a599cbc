"""``GET /v1/credits`` and ``POST /v1/credits/grants``."""

from typing import cast

from starlette.requests import Request
from starlette.responses import Response

from edge.accounts import NoSuchTenant
from edge.accounts.credits import CreditService
from edge.api.account_types import CreditsAnswer, GrantAnswer, LedgerEntry
from edge.api.cursors import read_cursor, write_cursor
from edge.api.parsing import parse_fields, parse_json
from edge.api.requests.accounts import CreditsQuery, GrantRequest
from edge.errors import InvalidField, StoreUnavailable, TenantNotFound
from edge.models.prices import MICRO
from edge.store import LedgerRow, StoreError
from shared.http.json import JsonResponse


async def show_credits(request: Request) -> Response:
    """Tell what the caller's tenant has left, and how it came to that."""
    asked = parse_fields(dict(request.query_params), CreditsQuery)
    tenant = request.state.key.tenant
    before = cast("tuple[str, str] | None", read_cursor(asked.cursor, 2))
    service: CreditService = request.app.state.books.credits
    try:
        account = await service.account(tenant.id)
        entries = await service.ledger(tenant.id, before=before, limit=asked.limit + 1)
    except StoreError as error:
        raise StoreUnavailable("Credits cannot be looked up right now; try again") from error
    page = entries[: asked.limit]
    content: CreditsAnswer = {
        "tenant_id": tenant.id,
        "billing": tenant.billing.value,
        "credits": account.credits_micro / MICRO,
        "credits_micro": account.credits_micro,
        "leased_micro": account.leased_micro,
        "data": [_entry(row) for row in page],
        "next_cursor": write_cursor((page[-1].at, page[-1].id)) if len(entries) > len(page) else None,
    }
    return JsonResponse(content)


async def grant_credits(request: Request) -> Response:
    """Give a tenant credits."""
    body = await parse_json(request, GrantRequest)
    service: CreditService = request.app.state.books.credits
    try:
        row = await service.grant(body.tenant_id, body.amount_micro, body.note)
        account = await service.account(body.tenant_id)
    except NoSuchTenant as error:
        raise TenantNotFound(f"{error}".capitalize(), param="tenant_id") from None
    except ValueError as error:
        raise InvalidField(f"amount_micro: {error}", param="amount_micro") from None
    except StoreError as error:
        raise StoreUnavailable("Credits cannot be granted right now; try again") from error
    content: GrantAnswer = {
        "tenant_id": body.tenant_id,
        "entry": _entry(row),
        "credits_micro": account.credits_micro,
    }
    return JsonResponse(content)


def _entry(row: LedgerRow) -> LedgerEntry:
    return {
        "id": row.id,
        "at": row.at,
        "kind": "grant" if row.kind == "grant" else "usage",
        "amount_micro": row.amount_micro,
        "note": row.note,
    }
