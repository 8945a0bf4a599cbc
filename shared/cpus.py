"""The cores that this process may use."""

import os


def available_cpus() -> int:
    """Return how many cores this process may use: fewer than the machine has under taskset or a cpuset."""
    return len(os.sched_getaffinity(0))
