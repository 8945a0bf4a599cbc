from benchmarks.llm.client import Answer
from benchmarks.llm.workloads.poisson import summarise


def test_the_longest_gap_is_that_of_any_stream_while_it_ran() -> None:
    found = summarise(
        [
            Answer(0.0, (5.0, 5.1, 5.3), "abc", "length"),
            Answer(0.0, (1.0, 1.5, 1.6), "abc", "length"),
            Answer(2.0, (3.0, 3.1, 3.2), "abc", "length"),
        ]
    )
    assert round(found.gap_ms) == 500
    assert round(found.typical_gap_ms) == 200
    assert round(found.end_to_end_ms) == 1600
    assert round(found.first_ms) == 1000
