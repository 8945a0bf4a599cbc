"""Faster or slower speech at the same pitch."""

from fractions import Fraction

import av
import numpy as np
from av.filter import Graph
from numpy.typing import NDArray

MIN_TEMPO = 0.25
_MIN_STAGE = 0.5
"""FFmpeg's atempo goes from here to 100; below it, two stand in line."""


def change_tempo(samples: NDArray[np.float32], tempo: float, *, rate: int) -> NDArray[np.float32]:
    """Return mono *samples*, *rate* per second, played *tempo* times as fast. *tempo* is at least 0.25."""
    if tempo == 1.0 or not len(samples):
        return samples
    graph = Graph()
    source = graph.add(
        "abuffer", sample_rate=str(rate), sample_fmt="flt", channel_layout="mono", time_base=f"1/{rate}"
    )
    first = max(tempo, _MIN_STAGE)
    stretch = graph.add("atempo", f"{first:.6f}")
    again = graph.add("atempo", f"{tempo / first:.6f}")
    sink = graph.add("abuffersink")
    graph.link_nodes(source, stretch, again, sink)
    graph.configure()

    frame = av.AudioFrame.from_ndarray(samples[np.newaxis], format="flt", layout="mono")
    frame.sample_rate = rate
    frame.time_base = Fraction(1, rate)
    frame.pts = 0
    graph.push(frame)
    graph.push(None)
    parts: list[NDArray[np.float32]] = []
    while True:
        try:
            pulled = graph.pull()
        except (EOFError, av.BlockingIOError):
            break
        assert isinstance(pulled, av.AudioFrame)
        parts.append(pulled.to_ndarray().reshape(-1).astype(np.float32, copy=False))
    return np.concatenate(parts) if parts else samples[:0]
