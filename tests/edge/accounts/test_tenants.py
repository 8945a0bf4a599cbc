from datetime import UTC, datetime
from pathlib import Path

import pytest

from edge.accounts import Billing, Limits, TenantExists, TenantService
from edge.store import TenantStore, database_file, open_sqlite

NOW = datetime(2026, 1, 2, 3, 4, 5, 678, UTC)


@pytest.mark.anyio
async def test_a_tenant_is_made_found_and_changed(tmp_path: Path) -> None:
    async with open_sqlite(database_file(tmp_path)) as database:
        tenants = TenantService(TenantStore(database), now=lambda: NOW)
        made = await tenants.create("acme", "Acme", Billing.PREPAID, Limits(1, 2, 3))
        assert made == await tenants.find("acme")
        assert made.created_at == "2026-01-02T03:04:05Z"
        changed = await tenants.update("acme", billing=Billing.POSTPAID, limits={"tokens_per_minute": None})
        assert changed is not None
        assert (changed.billing, changed.limits, changed.name) == (
            Billing.POSTPAID,
            Limits(1, None, 3),
            "Acme",
        )
        assert changed == await tenants.find("acme")
        assert await tenants.update("nobody", name="x") is None
        assert [tenant.id async for tenant in tenants.all()] == ["acme", "default"]


@pytest.mark.anyio
async def test_an_id_is_given_once(tmp_path: Path) -> None:
    async with open_sqlite(database_file(tmp_path)) as database:
        tenants = TenantService(TenantStore(database))
        with pytest.raises(TenantExists, match="default"):
            await tenants.create("default", "Mine", Billing.PREPAID)
        found = await tenants.find("default")
        assert found is not None
        assert (found.name, found.billing) == ("Default", Billing.UNMETERED)


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("tenant_id", "name"),
    [
        ("", "x"),
        ("A", "x"),
        ("a b", "x"),
        ("-a", "x"),
        ("a" * 65, "x"),
        ("a", " "),
        ("a", "x" * 201),
        ("a", "\0"),
    ],
)
async def test_what_cannot_be_an_id_or_a_name_is_refused(tmp_path: Path, tenant_id: str, name: str) -> None:
    async with open_sqlite(database_file(tmp_path)) as database:
        tenants = TenantService(TenantStore(database))
        with pytest.raises(ValueError, match=r"64 of a-z|characters"):
            await tenants.create(tenant_id, name, Billing.PREPAID)
        assert [tenant.id async for tenant in tenants.all()] == ["default"]


@pytest.mark.anyio
async def test_all_pages_are_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge.accounts.tenants.PAGE", 2)
    async with open_sqlite(database_file(tmp_path)) as database:
        tenants = TenantService(TenantStore(database))
        for name in ("a", "b", "c", "e"):
            await tenants.create(name, name, Billing.PREPAID)
        assert [tenant.id async for tenant in tenants.all()] == ["a", "b", "c", "default", "e"]
