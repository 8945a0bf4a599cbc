import psutil

from benchmarks.autorouter.workloads.start import Memory, memory_of


def test_memory_is_what_is_resident_and_what_no_file_backs() -> None:
    found = memory_of(psutil.Process())
    assert 0 < found.anonymous < found.resident
    before = found.anonymous
    held = bytearray(b"x" * (32 * 1024 * 1024))
    assert memory_of(psutil.Process()).anonymous > before + 30
    assert len(held) > 0
    assert str(Memory(12.34, 5.0)) == "12.3, 5.0"
