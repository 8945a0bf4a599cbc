"""The samples of a recording, of which a few minutes are in memory at a time."""

import tempfile
from collections.abc import Iterator
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from edge.engines.audio.decoder import HEARING_RATE
from edge.engines.stt import blocks

MEMORY_BYTES = 16 * 1024 * 1024
"""A recording longer than this, about eight minutes, lies in a temporary file: many wait for their turns."""

_SAMPLE_BYTES = 2


class Recording:
    """Mono samples at ``HEARING_RATE``, written once and then read block by block."""

    def __init__(self) -> None:
        self._file = tempfile.SpooledTemporaryFile(max_size=MEMORY_BYTES)  # noqa: SIM115 - closed by __exit__
        self._samples = 0

    @property
    def seconds(self) -> float:
        return self._samples / HEARING_RATE

    def append(self, samples: NDArray[np.int16]) -> None:
        self._file.write(samples.tobytes())
        self._samples += len(samples)

    def blocks(self) -> Iterator[tuple[int, NDArray[np.int16]]]:
        """Yield each block and the number of samples before it; they follow each other without a gap."""
        start = 0
        while start < self._samples:
            self._file.seek(start * _SAMPLE_BYTES)
            count = blocks.BLOCK_SECONDS * HEARING_RATE + 1
            samples = np.frombuffer(self._file.read(count * _SAMPLE_BYTES), np.int16)
            end = blocks.block_end(samples, rate=HEARING_RATE)
            yield start, samples[:end]
            start += end

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        _type: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        self._file.close()
