"""The workloads, in the order in which they run."""

from collections.abc import Callable, Mapping

from benchmarks.llm.bench import Bench
from benchmarks.llm.workloads import chat, defaults, gateway, poisson, steps, throughput
from benchmarks.report import Section

WORKLOADS: Mapping[str, Callable[[Bench], Section]] = {
    "throughput": throughput.run,
    "chat": chat.run,
    "poisson": poisson.run,
    "gateway": gateway.run,
    "steps": steps.run,
    "defaults": defaults.run,
}
