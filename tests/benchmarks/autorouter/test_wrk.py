import pytest

from benchmarks.autorouter import wrk
from benchmarks.autorouter.load import Load
from benchmarks.processes import BenchmarkError

OUTPUT = """Running 10s test @ http://127.0.0.1:8080/v1/route
  1 threads and 32 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     6.52ms    1.20ms  20.11ms   80.00%
  48231 requests in 10.01s, 20.52MB read
Requests/sec:   4818.28
Transfer/sec:      2.05MB
{"requests": 48231, "seconds": 10.010000, "p50_ms": 6.4810, "p99_ms": 11.9020, "failed": 0}
"""


def test_the_scripts_line_is_read() -> None:
    found = wrk.parse(OUTPUT)
    assert found == Load(requests=48231, seconds=10.01, p50_ms=6.481, p99_ms=11.902)
    assert round(found.per_second) == 4818


def test_a_failed_request_fails_the_measurement() -> None:
    with pytest.raises(BenchmarkError, match="3 of 48231 requests failed"):
        wrk.parse(OUTPUT.replace('"failed": 0', '"failed": 3'))


@pytest.mark.parametrize("output", [OUTPUT.replace("48231", "0"), OUTPUT.partition("{")[0], ""])
def test_a_load_without_an_answer_is_none(output: str) -> None:
    with pytest.raises(BenchmarkError):
        wrk.parse(output)
