import pytest

from edge.accounts import Limits
from edge.accounts.limits import Limit, Standing, Subject, Use, Verdict, exceeded, standing


def subject(kind: str = "key", /, **limits: int) -> Subject:
    return Subject(kind, "a", "a", Limits(**limits))


def test_without_limits_nothing_is_exceeded() -> None:
    assert exceeded([subject()], [Use(10**9, 10**9, 10**9)], 10**9) is None


@pytest.mark.parametrize(
    ("limits", "use", "tokens", "against"),
    [
        ({"requests_per_minute": 3}, Use(requests=2), 0, None),
        ({"requests_per_minute": 3}, Use(requests=3), 0, Limit.REQUESTS),
        ({"requests_per_minute": 0}, Use(), 0, Limit.REQUESTS),
        ({"concurrent_requests": 2}, Use(running=1), 0, None),
        ({"concurrent_requests": 2}, Use(running=2), 0, Limit.CONCURRENT),
        ({"tokens_per_minute": 100}, Use(tokens=60), 40, None),
        ({"tokens_per_minute": 100}, Use(tokens=60), 41, Limit.TOKENS),
        ({"tokens_per_minute": 100}, Use(tokens=100), 0, None),
    ],
)
def test_a_limit_is_exceeded_by_one_more_than_it_allows(
    limits: dict[str, int], use: Use, tokens: int, against: Limit | None
) -> None:
    held = subject(**limits)
    assert exceeded([held], [use], tokens) == (None if against is None else (held, against))


def test_a_request_above_the_limit_of_tokens_may_have_a_whole_minute() -> None:
    held = subject(tokens_per_minute=100)
    assert exceeded([held], [Use()], 5000) is None
    assert exceeded([held], [Use(tokens=1)], 5000) == (held, Limit.TOKENS)


def test_the_tenants_limit_counts_too() -> None:
    key, tenant = subject(requests_per_minute=100), subject("tenant", requests_per_minute=10)
    assert exceeded([key, tenant], [Use(requests=5), Use(requests=10)], 0) == (tenant, Limit.REQUESTS)


def test_the_nearest_limit_of_requests_is_told() -> None:
    key, tenant = subject(requests_per_minute=100), subject("tenant", requests_per_minute=500)
    verdict = Verdict(61.5, 60, 120, (Use(requests=10), Use(requests=495)))
    assert standing([key, tenant], verdict) == Standing(limit=500, remaining=5, reset=120)
    assert standing([subject(tokens_per_minute=5)], Verdict(61.5, 60, 120, (Use(),))) is None


@pytest.mark.parametrize(
    ("now", "limit", "seconds"),
    [
        (60.0, Limit.REQUESTS, 60),
        (61.5, Limit.TOKENS, 59),
        (119.99, Limit.REQUESTS, 1),
        (61.5, Limit.CONCURRENT, 1),
    ],
)
def test_retry_after_is_the_whole_seconds_to_the_end_of_the_minute(
    now: float, limit: Limit, seconds: int
) -> None:
    assert Verdict(now, 60, 120, (Use(),), (subject(), limit)).retry_after == seconds
