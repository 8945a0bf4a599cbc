"""GET /metrics, as Prometheus reads it."""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Self

import anyio.to_thread
from prometheus_client import CollectorRegistry, PlatformCollector, ProcessCollector, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector
from starlette.datastructures import State
from starlette.requests import Request
from starlette.responses import Response

from autorouter.conditions import count_conditions
from autorouter.geoip import GeoIP
from autorouter.grid import Grid
from autorouter.poller import Poller
from autorouter.route_counts import BUCKET_SECONDS, RouteCounts
from shared.http.drain import Drain
from shared.http.internal_secret import require_secret

PREFIX = "nearedge_autorouter_"


async def metrics(request: Request) -> Response:
    """Tell the numbers to who has the internal secret: they show how much the grid is used, and where."""
    state = request.app.state
    require_secret(request, state.settings.internal_secret)
    snapshot = Snapshot.take(state)
    # In a thread: a large grid has tens of thousands of lines, and callers do not wait for them.
    text = await anyio.to_thread.run_sync(_write, snapshot)
    return Response(text, headers={"Content-Type": CONTENT_TYPE_LATEST})


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The numbers of one moment. ``polls`` are how often each edge was asked, and how often in vain."""

    counts: RouteCounts
    in_flight: int
    watched: bool
    conditions: Mapping[str, int]
    polls: Mapping[str, tuple[int, int]]
    geoip_built: int
    geoip_replaced: int
    geoip_refused: int

    @classmethod
    def take(cls, state: State) -> Self:
        counts: RouteCounts = state.counts
        geoip: GeoIP = state.geoip
        grid: Grid = state.grid
        drain: Drain = state.drain
        poller: Poller = state.poller
        known = poller.state
        return cls(
            counts=counts.copy(),
            in_flight=drain.in_flight,
            watched=known.watched,
            conditions=count_conditions((region.id for region in grid.regions), known),
            polls={region_id: (asked.polls, asked.misses) for region_id, asked in poller.counts.items()},
            geoip_built=geoip.info.build_epoch,
            geoip_replaced=geoip.replaced,
            geoip_refused=geoip.refused,
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
        yield from _of_answers(self._snapshot)
        yield from _of_edges(self._snapshot)
        yield from _of_geoip(self._snapshot)


def _of_answers(now: Snapshot) -> Iterator[Metric]:
    counts = now.counts
    answers = CounterMetricFamily(
        PREFIX + "answers",
        "Answers of /v1/route, by why this region, by who said where the caller is, and whether degraded",
        labels=("reason", "source", "degraded"),
    )
    for (reason, source, degraded), count in counts.answers.items():
        answers.add_metric((reason, source, str(degraded).lower()), count)
    yield answers
    yield CounterMetricFamily(
        PREFIX + "unchanged", "Those of the answers that the caller had already (304)", counts.unchanged
    )
    refusals = CounterMetricFamily(PREFIX + "refusals", "Errors of /v1/route", labels=("code",))
    for code, count in counts.refusals.items():
        refusals.add_metric((code,), count)
    yield refusals
    below, buckets = 0, []
    for bound, count in zip((*map(str, BUCKET_SECONDS), "+Inf"), counts.buckets, strict=True):
        below += count
        buckets.append((bound, below))
    yield HistogramMetricFamily(
        PREFIX + "answer_seconds", "Time that finding an answer took", buckets, counts.seconds
    )
    yield GaugeMetricFamily(PREFIX + "requests_in_flight", "Requests under way", now.in_flight)


def _of_edges(now: Snapshot) -> Iterator[Metric]:
    yield GaugeMetricFamily(PREFIX + "watching", "Whether the edges are watched", now.watched)
    edges = GaugeMetricFamily(PREFIX + "edges", "Edges, by how they are", labels=("condition",))
    for condition, count in now.conditions.items():
        edges.add_metric((condition,), count)
    yield edges
    polls = CounterMetricFamily(PREFIX + "polls", "How often an edge was asked how it is", labels=("region",))
    misses = CounterMetricFamily(PREFIX + "poll_misses", "Those of the polls in vain", labels=("region",))
    for region_id, (asked, missed) in now.polls.items():
        polls.add_metric((region_id,), asked)
        misses.add_metric((region_id,), missed)
    yield polls
    yield misses


def _of_geoip(now: Snapshot) -> Iterator[Metric]:
    built = now.geoip_built
    yield GaugeMetricFamily(PREFIX + "geoip_build_timestamp_seconds", "When the GeoIP file was built", built)
    yield GaugeMetricFamily(PREFIX + "geoip_age_seconds", "How old the GeoIP file is", time.time() - built)
    yield CounterMetricFamily(
        PREFIX + "geoip_replaced", "New GeoIP files that were taken up", now.geoip_replaced
    )
    yield CounterMetricFamily(
        PREFIX + "geoip_refused", "New GeoIP files that could not be used", now.geoip_refused
    )
