"""What can be measured, in the order in which it is."""

from benchmarks.command import Workloads
from benchmarks.gateway.bench import Bench
from benchmarks.gateway.workloads import keys, throughput, usage

WORKLOADS: Workloads[Bench] = {"throughput": throughput.run, "keys": keys.run, "usage": usage.run}
