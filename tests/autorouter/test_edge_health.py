from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autorouter.edge_health import EdgeHealth, Manner, Thresholds
from autorouter.grid_state import UNKNOWN
from shared.edge_status import EdgeStatus, ModelStatus

DEFAULTS = Thresholds(3, 10)

thresholds = st.builds(Thresholds, st.integers(1, 5), st.integers(1, 12))
polls = st.lists(st.tuples(st.booleans(), st.integers(1, 15)), max_size=12).map(
    lambda runs: [succeeds for succeeds, count in runs for _ in range(count)]
)


def model(in_flight: int = 0, **told: Any) -> ModelStatus:
    fields: dict[str, Any] = {
        "id": "m",
        "names": ("m",),
        "state": "loaded",
        "soft_limit": 10,
        "limit": 20,
    } | told
    return ModelStatus(in_flight=in_flight, **fields)


def status(*models: ModelStatus, draining: bool = False) -> EdgeStatus:
    return EdgeStatus(region="a-01", draining=draining, models=models)


def step(health: EdgeHealth, succeeds: bool, limits: Thresholds = DEFAULTS) -> EdgeHealth:
    return health.succeeded(status(), limits) if succeeds else health.missed(limits)


def after(outcomes: Sequence[bool], limits: Thresholds = DEFAULTS) -> EdgeHealth:
    health = EdgeHealth()
    for succeeds in outcomes:
        health = step(health, succeeds, limits)
    return health


@pytest.mark.parametrize(
    ("outcomes", "up"),
    [
        ("", True),
        ("+", True),
        ("-", False),
        ("--------+", True),
        ("+--", True),
        ("+---", False),
        ("+--+--+--", True),
        ("-+---", False),
        ("+---+++++++++", False),
        ("+---++++++++++", True),
        ("+---+++++++++-+++++++++", False),
        ("+---+++++++++-++++++++++", True),
        ("+---++++++++++--", True),
        ("+---++++++++++---", False),
    ],
)
def test_down_fast_and_up_slowly(outcomes: str, up: bool) -> None:
    assert after([outcome == "+" for outcome in outcomes]).state.up is up


@given(polls, thresholds)
def test_its_manner_is_what_the_last_poll_met(outcomes: list[bool], limits: Thresholds) -> None:
    health = after(outcomes, limits)
    if not outcomes or outcomes[-1]:
        assert health.manner is Manner.ANSWERING
    else:
        assert health.manner is (Manner.FAILING if health.state.up else Manner.SILENT)


def test_nobody_knows_anything_before_the_first_poll() -> None:
    assert EdgeHealth().state is UNKNOWN
    assert after([False]).state.models is None


@given(polls, thresholds)
def test_a_change_has_as_many_polls_behind_it_as_are_set(outcomes: list[bool], limits: Thresholds) -> None:
    health = EdgeHealth()
    for number, succeeds in enumerate(outcomes, 1):
        before, health = health, step(health, succeeds, limits)
        if before.was_up and before.state.up and not health.state.up:
            assert outcomes[:number][-limits.down_after :] == [False] * limits.down_after
        if before.was_up and not before.state.up and health.state.up:
            assert outcomes[:number][-limits.up_after :] == [True] * limits.up_after


@given(polls, thresholds)
def test_enough_polls_in_a_row_decide_whatever_came_before(outcomes: list[bool], limits: Thresholds) -> None:
    assert after([*outcomes, *[True] * limits.up_after], limits).state.up
    assert not after([*outcomes, *[False] * limits.down_after], limits).state.up


@given(st.integers(2, 6), st.integers(2, 12), st.integers(1, 500), st.booleans())
def test_an_edge_that_misses_every_other_poll_changes_nothing(
    down_after: int, up_after: int, count: int, was_down: bool
) -> None:
    limits = Thresholds(down_after, up_after)
    health = after([True, *[False] * (down_after if was_down else 0)], limits)
    for number in range(count):
        health = step(health, number % 2 == 0, limits)
        assert health.state.up is not was_down


@given(polls, thresholds)
def test_the_same_polls_give_the_same_health(outcomes: list[bool], limits: Thresholds) -> None:
    assert after(outcomes, limits) == after(outcomes, limits)


def test_draining_counts_at_once_both_ways() -> None:
    health = EdgeHealth().succeeded(status(draining=True), DEFAULTS)
    assert health.state.draining
    assert not health.succeeded(status(), DEFAULTS).state.draining


def test_an_edge_that_refuses_because_it_is_leaving_is_draining_until_it_says_otherwise() -> None:
    health = after([True]).missed(DEFAULTS, leaving=True)
    assert (health.state.up, health.state.draining) == (True, True)
    health = health.missed(DEFAULTS).missed(DEFAULTS)
    assert (health.state.up, health.state.draining) == (False, True)
    assert not step(health, True).state.draining


def test_an_edge_that_is_down_keeps_the_models_that_it_told_last() -> None:
    health = EdgeHealth().succeeded(status(model(10)), DEFAULTS)
    told = health.state.models
    for _ in range(5):
        health = health.missed(DEFAULTS)
    assert not health.state.up
    assert health.state.models == told is not None


def test_an_edge_on_its_way_up_tells_its_models_already() -> None:
    health = after([True, False, False, False]).succeeded(status(model()), DEFAULTS)
    assert not health.state.up
    assert set(health.state.models or ()) == {"m"}


def test_models_are_found_by_every_name_in_lower_case() -> None:
    told = status(
        model(id="Qwen", names=("Qwen", " TTS-1 ", "x")), model(id="other", names=("other", "x", "tts-1"))
    )
    models = EdgeHealth().succeeded(told, DEFAULTS).state.models
    assert models is not None
    assert {name: found.id for name, found in models.items()} == {
        "qwen": "Qwen",
        "tts-1": "Qwen",
        "x": "Qwen",
        "other": "other",
    }


def test_a_model_that_is_gone_is_forgotten() -> None:
    health = EdgeHealth().succeeded(status(model()), DEFAULTS).succeeded(status(), DEFAULTS)
    assert health.state.models == {}


@pytest.mark.parametrize(("state", "ready"), [("loaded", True), ("loading", False), ("failed", False)])
def test_only_a_loaded_model_is_ready(state: str, ready: bool) -> None:
    models = EdgeHealth().succeeded(status(model(state=state)), DEFAULTS).state.models
    assert models is not None
    assert models["m"].ready is ready


@pytest.mark.parametrize(
    ("in_flight", "busy", "full"),
    [([9], False, False), ([10], True, False), ([19], True, False), ([20], True, True), ([21], True, True)],
)
def test_busy_from_the_soft_limit_and_full_from_the_limit(
    in_flight: list[int], busy: bool, full: bool
) -> None:
    assert flags(in_flight) == (busy, full)


@pytest.mark.parametrize(
    ("in_flight", "busy"),
    [([10, 9], True), ([10, 8], False), ([10, 8, 9], False), ([10, 9, 8, 9, 10, 9], True), ([20, 9], True)],
)
def test_no_longer_busy_at_four_fifths_of_the_soft_limit(in_flight: list[int], busy: bool) -> None:
    assert flags(in_flight)[0] is busy


@pytest.mark.parametrize(
    ("in_flight", "full"),
    [([20, 19], True), ([20, 17], True), ([20, 16], False), ([20, 16, 19], False), ([20, 17, 20, 17], True)],
)
def test_no_longer_full_at_four_fifths_of_the_limit(in_flight: list[int], full: bool) -> None:
    assert flags(in_flight)[1] is full


@given(st.integers(1, 1000), st.lists(st.integers(0, 2000), min_size=1))
def test_a_model_with_nothing_to_do_is_never_busy(soft_limit: int, in_flight: list[int]) -> None:
    assert flags([*in_flight, 0], soft_limit)[0] is False
    assert flags([*in_flight, soft_limit], soft_limit)[0] is True


def flags(in_flight: list[int], soft_limit: int = 10) -> tuple[bool, bool]:
    health = EdgeHealth()
    for count in in_flight:
        health = health.succeeded(status(model(count, soft_limit=soft_limit)), DEFAULTS)
    assert health.state.models is not None
    return health.state.models["m"].busy, health.state.models["m"].full
