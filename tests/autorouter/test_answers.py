import gc
import weakref
from typing import Any

import msgpack
import orjson
import pytest

from autorouter.answers import KEPT_ANSWERS, KEPT_CHARACTERS, Answer, Answers, render
from autorouter.caching import CacheTimes, entity_tag
from autorouter.choose import Choice, Reason
from autorouter.formats import JSON, MSGPACK
from autorouter.location import Location, Source
from autorouter.place import Place
from autorouter.query import NOTHING, Query
from shared.errors import NotFound
from shared.regions import Region

TIMES = CacheTimes(ttl=300, shared=20, stale=10, stale_if_error=3600)
TORONTO = Region("yto-01", "Toronto", "Canada Central", "CA", 43.65, -79.38, "https://yto")
MONTREAL = Region("yul-01", "Montréal", "Canada East", "CA", 45.5, -73.57, "https://yul")
HERE = Location(Place("CA", "ON", 43.6, -79.4), Source.GEOIP)
CHOICE = Choice(TORONTO, (MONTREAL,), 5.5555, Reason.COUNTRY)


def headers(answer: Answer) -> dict[str, str]:
    return {name.decode(): value.decode() for name, value in answer.headers}


def test_answer_says_everything_in_either_format() -> None:
    expected = {
        "region": "yto-01",
        "name": "Toronto",
        "endpoint": "https://yto",
        "ttl": 300,
        "country": "CA",
        "distance_km": 5.6,
        "reason": "country",
        "degraded": False,
        "fallbacks": [{"region": "yul-01", "name": "Montréal", "endpoint": "https://yul"}],
    }
    plain, packed = render(CHOICE, HERE, JSON, TIMES), render(CHOICE, HERE, MSGPACK, TIMES)
    assert orjson.loads(plain.body) == msgpack.unpackb(packed.body) == expected
    for answer, content_type in ((plain, "application/json"), (packed, "application/msgpack")):
        assert headers(answer) == {
            "content-type": content_type,
            "content-length": str(len(answer.body)),
            "cache-control": "private, max-age=300",
            "etag": entity_tag(answer.body),
            "vary": "Accept",
        }
    assert plain.tag != packed.tag


def test_unknown_is_null_and_a_guess_is_short_lived() -> None:
    guess = Choice(TORONTO, (), None, Reason.DEFAULT, degraded=True)
    body: dict[str, Any] = orjson.loads(render(guess, Location(None, Source.NONE), JSON, TIMES).body)
    assert (body["country"], body["distance_km"], body["degraded"]) == (None, None, True)
    assert (body["ttl"], body["fallbacks"]) == (30, [])


def test_unchanged_answer_has_the_headers_that_caches_go_by() -> None:
    """RFC 9110, 15.4.5: those that a 200 would have had, and none that describes the body it lacks."""
    answer = render(CHOICE, HERE, JSON, TIMES)
    caching = {b"cache-control", b"etag", b"vary"}
    assert dict(answer.unchanged) == {name: value for name, value in answer.headers if name in caching}


class Chooser:
    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, _location: Location, query: Query) -> Choice:
        self.calls += 1
        if query.model == "none":
            raise NotFound("no edge serves it", code="model_not_found")
        return CHOICE


def test_the_same_caller_gets_what_is_there_already() -> None:
    chooser = Chooser()
    answers = Answers(chooser, TIMES)
    first = answers.get(HERE, NOTHING, JSON)
    assert answers.get(Location(Place("CA", "ON", 43.6, -79.4), Source.GEOIP), Query(), JSON) is first
    assert chooser.calls == 1
    others = [
        (HERE, NOTHING, MSGPACK),
        (HERE, Query(model="m"), JSON),
        (Location(None, Source.NONE), NOTHING, JSON),
    ]
    for location, query, wanted in others:
        assert answers.get(location, query, wanted) is not first
    assert chooser.calls == 4


def test_refusals_are_made_anew_and_keep_nothing_alive() -> None:
    chooser = Chooser()
    answers = Answers(chooser, TIMES)
    for _ in range(2):
        with pytest.raises(NotFound):
            answers.get(HERE, Query(model="none"), JSON)
    assert chooser.calls == 2


def test_what_is_kept_is_bounded() -> None:
    chooser = Chooser()
    answers = Answers(chooser, TIMES)
    long = Query(model="m" * (KEPT_CHARACTERS + 1))
    assert answers.get(HERE, long, JSON) is not answers.get(HERE, long, JSON)
    first = answers.get(HERE, Query(model="0"), JSON)
    for number in range(1, KEPT_ANSWERS + 1):
        answers.get(HERE, Query(model=str(number)), JSON)
    assert answers.get(HERE, Query(model="0"), JSON) is not first


def test_old_answers_are_gone_at_once() -> None:
    gc.disable()
    try:
        chooser = Chooser()
        left = weakref.ref(chooser)
        answers = Answers(chooser, TIMES)
        answers.get(HERE, NOTHING, JSON)
        del answers, chooser
        assert left() is None
    finally:
        gc.enable()
