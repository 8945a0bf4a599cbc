"""``GET /metrics``, as Prometheus reads it."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

import anyio.to_thread
from prometheus_client import CollectorRegistry, PlatformCollector, ProcessCollector, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from starlette.datastructures import State
from starlette.requests import Request
from starlette.responses import Response

PREFIX = "nearedge_edge_"


async def metrics(request: Request) -> Response:
    """Tell the numbers to who has the internal secret: they show how much the edge is used, and for what."""
    snapshot = Snapshot.take(request.app.state)
    text = await anyio.to_thread.run_sync(_write, snapshot)
    return Response(text, headers={"Content-Type": CONTENT_TYPE_LATEST, "Cache-Control": "no-store"})


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The numbers of one moment."""

    answers: dict[tuple[str, int], int]
    in_flight: int
    models: tuple[tuple[str, int, int], ...]
    """Id of each model, the requests it holds, and how many it can."""
    refused: dict[tuple[str, str], int]
    limits_degraded: bool
    limits_alone: int
    limits_failures: int
    executed: int
    replayed: int
    claimed_alone: int
    not_kept: int

    @classmethod
    def take(cls, state: State) -> Self:
        limits, repeats = state.limiter.counts, state.idempotency.counts
        return cls(
            answers=dict(state.requests.answers),
            in_flight=state.drain.in_flight,
            models=tuple(
                (served.id, served.worker.in_flight, served.worker.queue_limit) for served in state.models
            ),
            refused=dict(limits.refused),
            limits_degraded=state.limiter.degraded,
            limits_alone=limits.counted_alone,
            limits_failures=limits.shared_failures,
            executed=repeats.executed,
            replayed=repeats.replayed,
            claimed_alone=repeats.claimed_alone,
            not_kept=repeats.not_kept,
        )


def _write(snapshot: Snapshot) -> bytes:
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    registry.register(_Families(snapshot))
    return generate_latest(registry)


class _Families(Collector):
    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot

    def collect(self) -> Iterator[Metric]:
        yield from _of_requests(self._snapshot)
        yield from _of_limits(self._snapshot)
        yield from _of_repeats(self._snapshot)


def _of_requests(now: Snapshot) -> Iterator[Metric]:
    answers = CounterMetricFamily(
        PREFIX + "answers", "Answers, by operation and status", labels=("method", "path", "status")
    )
    for (operation, status), count in now.answers.items():
        answers.add_metric((*operation.split(" ", 1), str(status)), count)
    yield answers
    yield GaugeMetricFamily(PREFIX + "requests_in_flight", "Requests under way", now.in_flight)
    held = GaugeMetricFamily(PREFIX + "model_requests", "Requests that a model holds", labels=("model",))
    limit = GaugeMetricFamily(PREFIX + "model_requests_limit", "Most that it can hold", labels=("model",))
    for model, in_flight, most in now.models:
        held.add_metric((model,), in_flight)
        limit.add_metric((model,), most)
    yield held
    yield limit


def _of_limits(now: Snapshot) -> Iterator[Metric]:
    refused = CounterMetricFamily(
        PREFIX + "limit_refusals", "Requests refused, by whose limit and of what", labels=("subject", "limit")
    )
    for (subject, kind), count in now.refused.items():
        refused.add_metric((subject, kind), count)
    yield refused
    yield GaugeMetricFamily(
        PREFIX + "limits_degraded",
        "Whether limits are counted by this edge alone because the shared store fails",
        now.limits_degraded,
    )
    yield CounterMetricFamily(
        PREFIX + "limits_counted_alone", "Requests counted by this edge alone for that", now.limits_alone
    )
    yield CounterMetricFamily(
        PREFIX + "limits_store_failures",
        "Times that the shared store failed or was slow",
        now.limits_failures,
    )


def _of_repeats(now: Snapshot) -> Iterator[Metric]:
    yield CounterMetricFamily(
        PREFIX + "idempotent_executions", "Requests with a name that were done", now.executed
    )
    yield CounterMetricFamily(
        PREFIX + "idempotent_replays", "Repeats that got the answer of the first", now.replayed
    )
    yield CounterMetricFamily(
        PREFIX + "idempotent_claimed_alone",
        "Requests with a name that this node claimed without the fleet, which did not answer",
        now.claimed_alone,
    )
    yield CounterMetricFamily(
        PREFIX + "idempotent_not_kept", "Answers that were too large to be given again", now.not_kept
    )
