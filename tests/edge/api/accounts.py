"""Tenants with credits, for tests of an edge in this process."""

import itertools
from dataclasses import dataclass
from typing import Any

import anyio

from edge.accounts import Billing, Scope
from edge.accounts.credits import CreditService
from edge.accounts.tenants import TenantService
from edge.store import CreditStore, TenantStore, open_fleet
from tests.edge.api.conftest import Edge

_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Customer:
    """A tenant and a key of his."""

    edge: Edge
    tenant_id: str
    key: str

    def post(self, path: str, **body: Any) -> Any:
        return self.edge.client.post(path, json=body, headers=self.headers)

    def get(self, path: str, **query: Any) -> Any:
        return self.edge.client.get(path, params=query, headers=self.headers)

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.key}"}

    def grant(self, micro: int) -> None:
        async def work() -> None:
            async with open_fleet(self.edge.home, None) as database:
                await CreditService(CreditStore(database)).grant(self.tenant_id, micro)

        anyio.run(work)

    def chat(self, text: str = "one two three", **fields: Any) -> Any:
        return self.post(
            "/v1/chat/completions",
            model="smollm2",
            messages=[{"role": "user", "content": text}],
            max_tokens=10,
            **fields,
        )

    def speak(self, text: str = "hello", **fields: Any) -> Any:
        return self.post("/v1/audio/speech", model="kokoro-82m", voice="af_sarah", input=text, **fields)


def customer(edge: Edge, billing: Billing, micro: int = 0, *scopes: Scope) -> Customer:
    """Make a new tenant who has *micro* credits, and a key of his."""
    tenant_id = f"tenant-{next(_numbers)}"

    async def work() -> None:
        async with open_fleet(edge.home, None) as database:
            await TenantService(TenantStore(database)).create(tenant_id, tenant_id, billing)

    anyio.run(work)
    made = Customer(edge, tenant_id, edge.key(*(scopes or (Scope.INFERENCE,)), tenant_id=tenant_id))
    if micro:
        made.grant(micro)
    return made
