"""The workloads, in the order in which they run."""

from benchmarks.autorouter.bench import Bench
from benchmarks.autorouter.workloads import answers, choose, start, throughput
from benchmarks.command import Workloads

WORKLOADS: Workloads[Bench] = {
    "throughput": throughput.run,
    "choose": choose.run,
    "answers": answers.run,
    "start": start.run,
}
