import pytest

from autorouter.choose import Choice, Reason, Scope
from autorouter.grid import Grid
from autorouter.grid_state import GridState
from autorouter.place import Place
from benchmarks.autorouter import provinces
from benchmarks.autorouter.provinces import answer, by_province, middle
from shared.regions import Region

TORONTO = Region("yto-01", "Toronto", "Canada Central", "CA", 43.65, -79.38, "https://yto-01.example")
MONTREAL = Region("yul-01", "Montreal", "Canada East", "CA", 45.5, -73.57, "https://yul-01.example")


@pytest.mark.parametrize(
    ("points", "lat", "lon"),
    [
        ([(10.0, 20.0)], 10.0, 20.0),
        ([(0.0, 10.0), (0.0, 30.0)], 0.0, 20.0),
        ([(0.0, 179.0), (0.0, -179.0)], 0.0, 180.0),
    ],
)
def test_the_middle_is_that_on_the_sphere(points: list[tuple[float, float]], lat: float, lon: float) -> None:
    found = middle(points)
    assert found[0] == pytest.approx(lat)
    assert abs(found[1]) == pytest.approx(lon)


def test_each_province_has_one_choice_for_the_middle_of_its_callers(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def chosen(place: Place, scope: Scope, grid: Grid, state: GridState) -> Choice:
        asked.append((place, scope, state.watched))
        return Choice(TORONTO, (), None, Reason.COUNTRY)

    monkeypatch.setattr(provinces, "chosen", chosen)
    places = [
        Place("CA", "ON", 40.0, -80.0),
        Place("CA", "QC", 46.0, -72.0),
        Place("CA", "ON", 44.0, -80.0),
        Place("GB", None, 51.0, 0.0),
        Place("FR", None, None, None),
        Place(None, None, 1.0, 1.0),
    ]
    found = by_province(places, Grid.of([TORONTO], None))
    assert list(found) == [("CA", "ON"), ("CA", "QC"), ("GB", "")]
    (ontario, _, britain) = [place for place, *_ in asked]
    assert (ontario.country, ontario.subdivision) == ("CA", "ON")
    assert ontario.lat == pytest.approx(42.0)
    assert britain.subdivision is None
    assert {(scope, watched) for _, scope, watched in asked} == {(Scope.COUNTRY, False)}


def test_an_answer_has_the_fields_of_the_autorouters() -> None:
    choice = Choice(TORONTO, (MONTREAL,), 12.0, Reason.COUNTRY)
    assert answer(choice, "CA", 300) == {
        "region": "yto-01",
        "name": "Toronto",
        "endpoint": "https://yto-01.example",
        "ttl": 300,
        "country": "CA",
        "distance_km": None,
        "reason": "country",
        "degraded": False,
        "fallbacks": [{"region": "yul-01", "name": "Montreal", "endpoint": "https://yul-01.example"}],
    }
