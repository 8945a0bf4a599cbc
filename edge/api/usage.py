"""``GET /v1/usage``."""

from collections.abc import Sequence

import anyio.to_thread
from starlette.requests import Request
from starlette.responses import Response

from edge.accounts import Scope
from edge.accounts.usage import GROUPS, Part, Period, PeriodError, Report, UsageService
from edge.api.account_types import (
    ModelUsage,
    Percentiles,
    RegionUsage,
    ServiceUsage,
    UsageAnswer,
    UsageData,
    UsageStats,
)
from edge.api.cursors import read_cursor, write_cursor
from edge.api.parsing import parse_fields
from edge.api.requests.accounts import UsageQuery
from edge.errors import InvalidField, MissingScope, StoreUnavailable
from edge.models.prices import MICRO
from edge.store import Sketch, StoreError, UsageSum
from shared.errors import BadRequest
from shared.http.json import JsonResponse

MICRO_PER_HUNDREDTH = MICRO // 100


async def usage(request: Request) -> Response:
    """Report what the caller's key used, or with ``scope=tenant`` every key of its tenant."""
    asked = parse_fields(dict(request.query_params), UsageQuery)
    key = request.state.key
    if asked.scope == "tenant" and not key.opens(frozenset({Scope.KEYS, Scope.SUPERADMIN})):
        raise MissingScope("scope=tenant needs a key with the scope keys")
    names = _groups(asked.group_by)
    after = read_cursor(asked.cursor, len(names))
    service: UsageService = request.app.state.books.usage
    try:
        days = service.period(asked.start_date, asked.end_date)
        report = await service.report(
            days, tenant_id=key.tenant_id, key_id=key.id if asked.scope == "key" else None
        )
    except PeriodError as error:
        raise BadRequest(str(error)) from None
    except StoreError as error:
        raise StoreUnavailable("Usage cannot be looked up right now; try again") from error
    # In a thread: adding up the sums of many keys takes a while, and other requests go on.
    return JsonResponse(await anyio.to_thread.run_sync(_content, report, days, names, after, asked.limit))


def _content(
    report: Report, days: Period, names: Sequence[str], after: tuple[str, ...] | None, limit: int
) -> UsageAnswer:
    parts = [part for part in report.by(*names) if after is None or part[0] > after]
    page = parts[:limit]
    return {
        "period": {"start_date": str(days.start), "end_date": str(days.end)},
        "usage": _stats(report),
        "data": [_row(names, part) for part in page],
        "by_service": [_service(part) for part in report.by("service")],
        "next_cursor": write_cursor(page[-1][0]) if len(parts) > len(page) else None,
    }


def _groups(text: str) -> tuple[str, ...]:
    names = tuple(name.strip() for name in text.split(","))
    if len(set(names)) < len(names) or not set(names) <= set(GROUPS):
        raise InvalidField(f"group_by: name some of {', '.join(GROUPS)}, each once", param="group_by")
    return names


def _stats(report: Report) -> UsageStats:
    total = report.total
    return {
        "total_requests": total.requests,
        "total_tokens": _tokens(total),
        "total_cost": total.cost_micro / MICRO,
        "total_errors": total.errors,
        "total_audio_seconds": total.audio_ms / 1000,
        "total_characters": total.characters,
        "by_model": [_model(part) for part in report.by("model")],
        "by_region": [_region(part) for part in report.by("region")],
    }


def _model(part: Part) -> ModelUsage:
    (model,), total = part
    return {
        "model_id": model,
        "requests": total.requests,
        "tokens": _tokens(total),
        "cost": total.cost_micro / MICRO,
    }


def _region(part: Part) -> RegionUsage:
    (region,), total = part
    return {
        "region": region,
        "requests": total.requests,
        "avg_latency_ms": round(total.total_ms_sum / total.requests),
    }


def _service(part: Part) -> ServiceUsage:
    (service,), total = part
    return {
        "service": service,
        "requests": total.requests,
        "spend": round(total.cost_micro / MICRO_PER_HUNDREDTH),
        "cost_micro": total.cost_micro,
    }


def _row(names: Sequence[str], part: Part) -> UsageData:
    values, total = part
    row: UsageData = {
        "requests": total.requests,
        "errors": total.errors,
        "prompt_tokens": total.prompt_tokens,
        "cached_tokens": total.cached_tokens,
        "completion_tokens": total.completion_tokens,
        "total_tokens": _tokens(total),
        "audio_seconds": total.audio_ms / 1000,
        "characters": total.characters,
        "cost": total.cost_micro / MICRO,
        "cost_micro": total.cost_micro,
        "latency_ms": _percentiles(total.total_ms),
        "first_byte_ms": _percentiles(total.first_byte_ms),
    }
    divided = {"date" if name == "day" else name: value for name, value in zip(names, values, strict=True)}
    return divided | row  # type: ignore[return-value]


def _tokens(total: UsageSum) -> int:
    return total.prompt_tokens + total.completion_tokens


def _percentiles(times: Sketch) -> Percentiles:
    p50, p95, p99 = (round(times.quantile(share), 2) if times.count else None for share in (0.5, 0.95, 0.99))
    return {"p50": p50, "p95": p95, "p99": p99}
