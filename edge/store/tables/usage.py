"""Usage: the events of calls, on their way and arrived, and their sums by day."""

from typing import Any

from sqlalchemy import BigInteger, Column, Double, Index, Integer, LargeBinary, String, Table

from edge.store.tables.base import metadata


def _event_columns() -> list[Column[Any]]:
    texts = ("at", "tenant_id", "key_id", "request_id", "model", "adapter", "region", "service", "path")
    counts = ("prompt_tokens", "cached_tokens", "completion_tokens", "audio_ms", "characters", "status")
    return [
        *(Column(name, String, nullable=False) for name in texts),
        *(Column(name, BigInteger, nullable=False) for name in counts),
        Column("cost_micro", BigInteger, nullable=False),
        Column("charged_micro", BigInteger, nullable=False),
        Column("lease_id", String),
        *(Column(name, Double, nullable=False) for name in ("queue_ms", "first_byte_ms", "total_ms")),
    ]


usage_outbox = Table(
    "usage_outbox",
    metadata,
    Column("seq", Integer, primary_key=True, autoincrement=True),
    Column("id", String, nullable=False, unique=True),
    *_event_columns(),
)
"""Events of this edge that are not among the fleet's yet. Rows are added in the transaction that settles
their calls, never changed, and gone once they have arrived."""

usage_events = Table("usage_events", metadata, Column("id", String, primary_key=True), *_event_columns())
"""One row for each call to a model. ``cost_micro`` is what it costs by the prices of its time, and
``charged_micro`` what its tenant paid. Old ones are deleted: the sums by day stay."""

Index("ix_usage_events_at", usage_events.c.at)

usage_days = Table(
    "usage_days",
    metadata,
    *(
        Column(name, String, primary_key=True)
        for name in ("tenant_id", "key_id", "day", "model", "adapter", "region", "service", "path")
    ),
    *(
        Column(name, BigInteger, nullable=False)
        for name in (
            *("requests", "errors", "prompt_tokens", "cached_tokens", "completion_tokens"),
            *("audio_ms", "characters", "cost_micro", "charged_micro"),
        )
    ),
    Column("total_ms_sum", Double, nullable=False),
    Column("total_ms", LargeBinary, nullable=False),
    Column("first_byte_ms", LargeBinary, nullable=False),
)
"""Sums of events by UTC day (``YYYY-MM-DD``); times as mergeable sketches."""
