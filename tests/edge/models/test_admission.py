import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.models.admission import Admission, NotEnoughMemory
from edge.workers.worker import State

LOADING, LOADED, FAILED, UNLOADED = State.LOADING, State.LOADED, State.FAILED, State.UNLOADED
MB = 1_000_000


def test_memory_is_promised_until_the_model_is_loaded() -> None:
    admission = Admission(0)
    admission.admit("a", 60 * MB, 100 * MB, {"a": LOADING})
    with pytest.raises(NotEnoughMemory, match="60 MB of them are promised"):
        admission.admit("b", 60 * MB, 100 * MB, {"a": LOADING, "b": LOADING})
    for state in (LOADED, FAILED, UNLOADED):
        admission.admit("b", 60 * MB, 100 * MB, {"a": state, "b": LOADING})


def test_a_model_that_died_keeps_its_promise() -> None:
    admission = Admission(0)
    admission.admit("a", 60 * MB, 100 * MB, {"a": LOADING})
    with pytest.raises(NotEnoughMemory):
        admission.admit("b", 60 * MB, 100 * MB, {"a": LOADING})
    admission.admit("a", 60 * MB, 100 * MB, {"a": LOADING})


def test_the_refusal_has_the_numbers_and_names_what_could_go() -> None:
    admission = Admission(128 * MB)
    admission.admit("small", 50 * MB, None, {})
    admission.admit("large", 400 * MB, None, {})
    states = {"small": LOADED, "large": LOADED, "next": LOADING}
    with pytest.raises(NotEnoughMemory) as caught:
        admission.admit("next", 300 * MB, 400 * MB, states)
    assert str(caught.value) == (
        "next needs about 300 MB of memory and 400 MB are free, 128 MB are kept spare; "
        "unload another model: large (about 400 MB), small (about 50 MB)"
    )
    with pytest.raises(NotEnoughMemory, match=r"; free some$"):
        admission.admit("next", 300 * MB, 400 * MB, {"next": LOADING})


@given(
    needs=st.lists(st.integers(1, 100), max_size=12),
    free=st.integers(0, 300),
    spare=st.integers(0, 50),
)
def test_what_is_promised_never_exceeds_what_is_free(needs: list[int], free: int, spare: int) -> None:
    admission = Admission(spare)
    admitted: dict[str, int] = {}
    for number, need in enumerate(needs):
        states = dict.fromkeys(admitted, LOADING)
        fits = sum(admitted.values()) + need + spare <= free
        try:
            admission.admit(str(number), need, free, states)
        except NotEnoughMemory:
            assert not fits
        else:
            assert fits
            admitted[str(number)] = need
