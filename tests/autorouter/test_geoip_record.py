from math import inf, nan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autorouter.geoip_record import read_place
from autorouter.place import Place

CA = {"iso_code": "CA"}


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        ({"country": CA}, Place("CA", None, None, None)),
        ({"location": {"latitude": 0.0, "longitude": 0.0}}, Place(None, None, 0.0, 0.0)),
        ({"country": CA, "location": {"latitude": 1.0}}, Place("CA", None, None, None)),
        ({"country": CA, "location": {"latitude": nan, "longitude": 1.0}}, Place("CA", None, None, None)),
        ({"country": CA, "location": {"latitude": inf, "longitude": 1.0}}, Place("CA", None, None, None)),
        ({"country": CA, "location": {"latitude": 91.0, "longitude": 1.0}}, Place("CA", None, None, None)),
        ({"country": CA, "location": {"latitude": 1.0, "longitude": 181.0}}, Place("CA", None, None, None)),
        ({"country": CA, "subdivisions": [{"iso_code": "ON"}]}, Place("CA", "ON", None, None)),
        ({"country": CA, "subdivisions": [{"iso_code": "Ontario"}]}, Place("CA", None, None, None)),
        ({"country": CA, "subdivisions": [{"names": {"en": "Ontario"}}]}, Place("CA", None, None, None)),
        ({"country": CA, "subdivisions": []}, Place("CA", None, None, None)),
        ({"country": {"iso_code": "XK"}}, Place("XK", None, None, None)),
        ({"country": {"iso_code": "EU"}}, None),
        (
            {"country": {"iso_code": "EU"}, "location": {"latitude": 1.0, "longitude": 2.0}},
            Place(None, None, 1, 2),
        ),
        ({"country": {"iso_code": "ZZ"}, "location": {"latitude": 0.0, "longitude": 0.0}}, None),
        ({"country": {}}, None),
        ({"registered_country": CA}, None),
        ({}, None),
    ],
)
def test_place_holds_what_the_record_does(record: object, expected: Place | None) -> None:
    assert read_place(record) == expected


@pytest.mark.parametrize(
    "record",
    [
        "CA",
        7,
        [],
        None,
        {"country": "CA"},
        {"location": [1.0, 2.0]},
        {"subdivisions": "ON"},
        {"subdivisions": ["ON"]},
    ],
)
def test_what_is_no_record_is_an_error(record: object) -> None:
    with pytest.raises(ValueError, match="not a"):
        read_place(record)


leaves = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4) | st.binary(max_size=4)
values = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=8,
)
records = st.fixed_dictionaries(
    {},
    optional={
        "country": st.fixed_dictionaries({}, optional={"iso_code": leaves | st.sampled_from(["CA", "ZZ"])})
        | values,
        "location": st.fixed_dictionaries({}, optional={"latitude": leaves, "longitude": leaves}) | values,
        "subdivisions": st.lists(st.fixed_dictionaries({"iso_code": leaves})) | values,
    },
)


@given(records | values)
def test_whatever_a_file_holds_is_a_sound_place_none_or_an_error(record: object) -> None:
    try:
        place = read_place(record)
    except ValueError:
        return
    if place is not None:
        assert place.country is not None or place.lat is not None
        assert (place.lat is None) == (place.lon is None)
        assert place.lat is None or -90 <= place.lat <= 90
        assert place.lon is None or -180 <= place.lon <= 180
