import mmap
import os

import psutil
import pytest

from benchmarks.autorouter.workloads.start import MIB, Memory, memory_of


def test_a_file_in_memory_is_taken_whole_and_resident_as_far_as_it_is_read() -> None:
    before = memory_of(psutil.Process())
    with os.fdopen(os.memfd_create("test"), "wb") as file:
        file.write(b"x" * 32 * MIB)
        file.flush()
        mapped = mmap.mmap(file.fileno(), 32 * MIB)
    with mapped:
        unread = memory_of(psutil.Process())
        assert unread.resident == pytest.approx(before.resident, abs=8)
        assert unread.taken == pytest.approx(before.taken + 32, abs=8)
        assert mapped.find(b"y") == -1
        read = memory_of(psutil.Process())
        assert read.resident == pytest.approx(before.resident + 32, abs=8)
        assert read.taken == pytest.approx(unread.taken, abs=8)
    assert str(Memory(12.34, 45.0)) == "12.3, 45.0"
