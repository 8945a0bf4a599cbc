import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.models.kv_plan import MAX_SLOTS, Kind, KvPlan, kv_plan

GIB = 1024**3
SMOLLM2_135M = 17_640.0
"""Bytes of a token: 30 layers, keys of 192 numbers of 34/32 bytes and values of as many of two bytes."""
EIGHT_BILLION = 100_352.0
"""The same for 32 layers of 1,024 numbers."""


@pytest.mark.parametrize(
    ("memory", "token_bytes", "slots", "kind", "plan"),
    [
        (24 * GIB, SMOLLM2_135M, 0, "auto", KvPlan(16, False, 16 * 8192)),
        (8 * GIB, SMOLLM2_135M, 0, "auto", KvPlan(5, False, 5 * 8192)),
        (4 * GIB, SMOLLM2_135M, 0, "auto", KvPlan(16, True, 24347)),
        (24 * GIB, EIGHT_BILLION, 0, "auto", KvPlan(16, True, 25679)),
        (24 * GIB, EIGHT_BILLION, 0, "separate", KvPlan(3, False, 3 * 8192)),
        (24 * GIB, EIGHT_BILLION, 2, "auto", KvPlan(2, False, 2 * 8192)),
        (24 * GIB, SMOLLM2_135M, 4, "shared", KvPlan(4, True, 4 * 8192)),
        (GIB, EIGHT_BILLION, 0, "auto", KvPlan(16, True, 8192)),
    ],
)
def test_the_plan_fits_the_machine(
    memory: int, token_bytes: float, slots: int, kind: Kind, plan: KvPlan
) -> None:
    assert plan == kv_plan(
        context_tokens=8192, token_bytes=token_bytes, memory_bytes=memory, slots=slots, kind=kind
    )


@given(
    st.integers(16, 2**20),
    st.floats(1, 1e6),
    st.integers(0, 2**40),
    st.integers(0, 64),
    st.sampled_from(["auto", "separate", "shared"]),
)
def test_every_plan_can_hold_a_whole_context(
    context: int, token_bytes: float, memory: int, slots: int, kind: Kind
) -> None:
    plan = kv_plan(
        context_tokens=context, token_bytes=token_bytes, memory_bytes=memory, slots=slots, kind=kind
    )
    assert plan.slots == slots or (slots == 0 and 1 <= plan.slots <= MAX_SLOTS)
    assert plan.kv_tokens >= context
    assert plan.unified or plan.kv_tokens == plan.slots * context
    assert kind == "auto" or plan.unified == (kind == "shared")
