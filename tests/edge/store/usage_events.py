"""Events of usage for tests."""

import itertools
from typing import Any

from edge.store import UsageEvent

_numbers = itertools.count()

PLAIN = UsageEvent(
    id="",
    at="2026-03-01T12:00:00.000Z",
    tenant_id="default",
    key_id="key_1",
    request_id="req_1",
    model="smollm2-135m-instruct",
    adapter="",
    region="yto-01",
    service="chat/completions",
    path="local",
    prompt_tokens=10,
    cached_tokens=4,
    completion_tokens=5,
    audio_ms=0,
    characters=0,
    status=200,
    cost_micro=7,
    charged_micro=7,
    lease_id=None,
    queue_ms=1.0,
    first_byte_ms=10.0,
    total_ms=100.0,
)


def usage_event(**fields: Any) -> UsageEvent:
    """Return a new event that is like PLAIN but for *fields*."""
    return PLAIN._replace(id=f"use_{next(_numbers)}", **fields)


def never(event: UsageEvent) -> None:
    """Take back what an event charged, where a test has none that is to be taken back."""
    raise AssertionError(event)
