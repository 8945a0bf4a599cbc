import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.engines.base import InvalidRequest
from edge.engines.tts.blends import MAX_PARTS, is_blend, parse_blend


@pytest.mark.parametrize(
    ("text", "shares"),
    [
        ("af_bella(2)+am_adam(1)", [("af_bella", 2 / 3), ("am_adam", 1 / 3)]),
        ("af_bella+am_adam", [("af_bella", 0.5), ("am_adam", 0.5)]),
        ("af_bella(0.5)+am_adam(1.5)", [("af_bella", 0.25), ("am_adam", 0.75)]),
        (" af_bella (3) + am_adam ", [("af_bella", 0.75), ("am_adam", 0.25)]),
        ("af_bella(2)", [("af_bella", 1.0)]),
        ("a(1)+a(1)+b(2)", [("a", 0.25), ("a", 0.25), ("b", 0.5)]),
    ],
)
def test_weights_become_shares(text: str, shares: list[tuple[str, float]]) -> None:
    assert parse_blend(text) == shares


@pytest.mark.parametrize(
    "text",
    [
        *("+", "af_bella+", "+am_adam", "af_bella++am_adam", "(2)", "af_bella()", "af_bella(x)", "a(-1)+b"),
        *(
            "af_bella(2",
            "af_bella 2)",
            "af_bella(2)(3)",
            "af bella+am_adam",
            "a(1e3)+b",
            "a(nan)+b",
            "a(٣)+b(",
        ),
        *("a(1.)+b", "a(99999)+b", "a" * 500 + "+b", "a(" * 200_000, "+".join(["a" * 90] * 8)),
    ],
)
def test_what_cannot_be_read_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(InvalidRequest, match=r"af_bella\(2\)\+am_adam\(1\)") as caught:
        parse_blend(text)
    assert caught.value.param == "voice"
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("text", ["a(0)+b(0)", "a(0)+b", "a(0.0)"])
def test_a_weight_is_above_nothing(text: str) -> None:
    with pytest.raises(InvalidRequest, match="above 0"):
        parse_blend(text)


def test_the_number_of_voices_is_bounded() -> None:
    assert len(parse_blend("+".join(["a"] * MAX_PARTS))) == MAX_PARTS
    with pytest.raises(InvalidRequest, match=f"at most {MAX_PARTS}"):
        parse_blend("+".join(["a"] * (MAX_PARTS + 1)))


@given(st.text("ab_+() .0123456789", max_size=40) | st.text(max_size=40))
def test_shares_add_up_to_one_or_the_blend_is_refused(text: str) -> None:
    if not is_blend(text):
        return
    try:
        shares = parse_blend(text)
    except InvalidRequest:
        return
    assert sum(share for _, share in shares) == pytest.approx(1)
    assert all(share > 0 and name.strip() == name != "" for name, share in shares)
