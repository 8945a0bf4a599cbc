"""Transcriptions of jobs, on account of who ordered them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from edge.accounts import Key, Scope, TenantService
from edge.accounts.metering import Metering, Work
from edge.errors import StoreUnavailable
from edge.jobs.job import JobFailed, TranscriptionOrder
from edge.models.served import ServedModels
from edge.store import StoreError
from edge.workers.messages import Transcribe
from edge.workers.stream import EventStream


class MeteredTranscriber:
    """Opens the events of a job's transcription, which is paid for once, however often it is begun anew."""

    def __init__(self, metering: Metering, tenants: TenantService, models: ServedModels, region: str) -> None:
        self._metering = metering
        self._tenants = tenants
        self._models = models
        self._region = region

    @asynccontextmanager
    async def __call__(
        self, job_id: str, order: TranscriptionOrder, request: Transcribe
    ) -> AsyncIterator[EventStream]:
        """Transcribe for the job of this id.

        Raises:
            JobFailed: its tenant is gone.
            ApiError: as ``Metering.call`` does; also for a model that is not served, or a store that fails.
        """
        try:
            tenant = await self._tenants.find(order.owner)
        except StoreError as error:
            raise StoreUnavailable("Who pays for this job cannot be looked up right now") from error
        if tenant is None:
            raise JobFailed("The tenant of this job is gone", "tenant_not_found")
        work = Work(
            Key(order.key_id, tenant, "job", frozenset({Scope.INFERENCE}), ""),
            self._models.find(order.model),
            (request,),
            "audio/transcriptions",
            self._region,
            request_id=job_id,
            event_id=f"use_{job_id}",
            again=True,
            resumes=True,
        )
        async with self._metering.call(work) as stream:
            yield stream
