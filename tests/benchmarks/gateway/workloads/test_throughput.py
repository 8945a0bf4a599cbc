from benchmarks.figures import Figure
from benchmarks.gateway.servers import LITELLM, NEAREDGE, WITHOUT
from benchmarks.gateway.workloads.throughput import added, targets
from benchmarks.grid import Grid


def test_goals_are_ratios_at_many_connections() -> None:
    busy = {NEAREDGE: Figure((850.0,)), WITHOUT: Figure((1000.0,)), LITELLM: Figure((171.0,))}
    first, second = targets(Grid({1: busy, 32: busy}), 32)
    assert first.met
    assert not second.met


def test_added_latency_is_told_at_one_connection() -> None:
    alone = {NEAREDGE: Figure((2.5,)), WITHOUT: Figure((1.0,)), LITELLM: Figure((11.0,))}
    table = added(Grid({1: alone}), Grid({1: alone}))
    assert table.rows == ((NEAREDGE, "1.50", "1.50"), (LITELLM, "10.00", "10.00"))
