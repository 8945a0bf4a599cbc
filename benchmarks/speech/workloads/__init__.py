"""The workloads, in the order in which they run."""

from collections.abc import Callable, Mapping

from benchmarks.report import Section
from benchmarks.speech.bench import Bench
from benchmarks.speech.workloads import at_once, beside, hearing, recorded, speaking, voices

WORKLOADS: Mapping[str, Callable[[Bench], Section]] = {
    "hearing": hearing.run,
    "speaking": speaking.run,
    "recorded": recorded.run,
    "voices": voices.run,
    "at-once": at_once.run,
    "beside": beside.run,
}
