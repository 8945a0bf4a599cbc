from benchmarks.llm.burst import summarise
from benchmarks.llm.client import Answer


def test_speed_is_all_tokens_over_the_time_from_first_request_to_last_token() -> None:
    answers = [
        Answer(10.0, (11.0, 14.0), "ab", "length"),
        Answer(10.5, (13.5, 20.0), "cd", "length"),
        Answer(10.0, (12.0, 15.0), "ef", "length"),
    ]
    found = summarise(answers, 40)
    assert found.tokens_per_second == 12.0
    assert found.first_ms == 2000.0
