"""Calls of jobs, whose requests have been answered long ago."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from edge.accounts.books import Books
from edge.accounts.key import Key
from edge.accounts.metering import Work
from edge.accounts.scopes import Scope
from edge.accounts.tenants import TenantService
from edge.jobs.job import JobFailed, TranscriptionOrder
from edge.models.served import ServedModels
from edge.workers.messages import Transcribe
from edge.workers.stream import EventStream

SERVICE = "audio/transcriptions"


class JobCalls:
    """Sends what a job asks to its model, on the account of its owner as he is now."""

    def __init__(self, models: ServedModels, region: str) -> None:
        self._models = models
        self._region = region
        self._open: tuple[TenantService, Books] | None = None

    def opened(self, tenants: TenantService, books: Books) -> None:
        """Take what only a running edge has; *tenants* are found without leaving this node."""
        self._open = tenants, books

    @asynccontextmanager
    async def transcribe(
        self, job_id: str, order: TranscriptionOrder, request: Transcribe
    ) -> AsyncIterator[EventStream]:
        """Yield the events of *request*. See ``Metering.call``.

        Raises:
            JobFailed: the owner is gone.
        """
        assert self._open is not None, "the edge does not run"
        tenants, books = self._open
        served = self._models.find(order.model)
        tenant = await tenants.find(order.owner)
        if tenant is None:
            raise JobFailed("The tenant of this job is gone", "tenant_not_found")
        key = Key(order.key_id, tenant, "job", frozenset({Scope.INFERENCE}), "")
        work = Work(
            key, served, (request,), SERVICE, self._region, event_id=f"use_{job_id}", request_id=job_id
        )
        async with books.metering.call(work) as stream:
            yield stream
