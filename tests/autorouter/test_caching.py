import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autorouter.caching import (
    GUESS_SECONDS,
    TAGS_CHARACTERS,
    CacheTimes,
    cache_control,
    entity_tag,
    is_known,
    ttl_seconds,
    vary,
)
from autorouter.choose import Choice, Reason
from autorouter.location import Location, Source
from autorouter.place import Place
from shared.regions import Region

TIMES = CacheTimes(ttl=300, shared=20, stale=10, stale_if_error=3600)
REGION = Region("yto-01", "Toronto", "Canada Central", "CA", 43.65, -79.38, "https://yto")
ONTARIO = Place("CA", "ON", 50.0, -85.0)
BY_ADDRESS = Location(ONTARIO, Source.GEOIP)
BY_HEADERS = Location(ONTARIO, Source.CDN, shared=True, vary=("CloudFront-Viewer-Country",))


def choice(reason: Reason = Reason.COUNTRY, **more: bool) -> Choice:
    return Choice(REGION, (), 1.0, reason, **more)


def directives(text: str) -> dict[str, int | None]:
    """Return the directives of a Cache-Control, whose form is checked on the way."""
    assert re.fullmatch(r"[a-z-]+(=\d+)?(, [a-z-]+(=\d+)?)*", text)
    parts = [part.partition("=") for part in text.split(", ")]
    return {name: int(value) if value else None for name, _, value in parts}


def test_answer_that_headers_decide_may_be_shared() -> None:
    assert directives(cache_control(choice(), BY_HEADERS, TIMES)) == {
        "public": None,
        "max-age": 300,
        "s-maxage": 20,
        "stale-while-revalidate": 10,
        "stale-if-error": 3600,
    }


def test_answer_that_hangs_on_an_address_is_the_callers_alone() -> None:
    assert directives(cache_control(choice(), BY_ADDRESS, TIMES)) == {"private": None, "max-age": 300}


@pytest.mark.parametrize("guess", [choice(degraded=True), choice(unheard=True), choice(Reason.DEFAULT)])
def test_guess_is_kept_for_a_short_time(guess: Choice) -> None:
    times = CacheTimes(ttl=300, shared=200, stale=100, stale_if_error=3600)
    shared = directives(cache_control(guess, BY_HEADERS, times))
    assert shared["max-age"] == shared["s-maxage"] == GUESS_SECONDS
    assert (shared["stale-while-revalidate"], shared["stale-if-error"]) == (0, 3600)
    assert directives(cache_control(guess, BY_ADDRESS, times))["max-age"] == GUESS_SECONDS
    assert ttl_seconds(guess, times) == GUESS_SECONDS


def test_guess_is_not_kept_longer_than_anything_else() -> None:
    times = CacheTimes(ttl=5, shared=3, stale=1, stale_if_error=0)
    assert directives(cache_control(choice(degraded=True), BY_HEADERS, times)) == {
        "public": None,
        "max-age": 5,
        "s-maxage": 3,
        "stale-while-revalidate": 0,
        "stale-if-error": 0,
    }


def test_vary_names_what_the_answer_depends_on() -> None:
    assert vary(BY_ADDRESS) == "Accept"
    assert vary(BY_HEADERS) == "Accept, CloudFront-Viewer-Country"


def test_tag_is_strong_and_tells_bodies_apart() -> None:
    assert re.fullmatch(r'"[0-9a-f]{24}"', entity_tag(b"a"))
    assert entity_tag(b"a") == entity_tag(b"a") != entity_tag(b"b")


TAG = entity_tag(b"body")
OTHER = entity_tag(b"other")


@pytest.mark.parametrize(
    "header",
    [
        [TAG],
        [f"W/{TAG}"],
        [f" {TAG} "],
        ["*"],
        [" * "],
        [f"{OTHER}, {TAG}"],
        [f"{OTHER},W/{TAG}"],
        [OTHER, TAG],
        [f'"a,b", "", {TAG}'],
        [f"garbage {TAG}"],
    ],
)
def test_answer_is_known(header: list[str]) -> None:
    assert is_known(TAG, header)


@pytest.mark.parametrize(
    "header",
    [[], [""], [OTHER], [TAG.strip('"')], [TAG[:-1]], [f"*, {OTHER}"], ["**"], ['"*"'], [f"w{OTHER}"], [","]],
)
def test_answer_is_not_known(header: list[str]) -> None:
    assert not is_known(TAG, header)


def test_only_the_beginning_of_a_long_header_is_read() -> None:
    assert is_known(TAG, [f"{OTHER}, " * 100 + TAG])
    assert not is_known(TAG, [" " * 10 + "," * TAGS_CHARACTERS + TAG])


@pytest.mark.parametrize("piece", ['"', "W/", '"a', 'W/"', '"" '])
def test_a_huge_header_costs_next_to_nothing(piece: str) -> None:
    started = time.process_time()
    is_known(TAG, [piece * 100_000])
    assert time.process_time() - started < 0.5


@given(st.lists(st.text(max_size=50), max_size=5))
def test_no_header_is_a_reason_to_fail(header: list[str]) -> None:
    assert is_known(TAG, header) in (True, False)
