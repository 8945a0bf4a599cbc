import stat
from pathlib import Path

import pytest

from edge.jobs.audio_files import AudioFiles


def test_a_recording_is_kept_until_it_is_removed(tmp_path: Path) -> None:
    files = AudioFiles(tmp_path / "audio")
    assert files.sizes() == {}
    files.save("job_1", b"sound")
    assert files.read("job_1") == b"sound"
    assert files.sizes() == {"job_1": 5}
    files.remove("job_1")
    files.remove("job_1")
    assert files.sizes() == {}


def test_nobody_else_may_read_it(tmp_path: Path) -> None:
    files = AudioFiles(tmp_path / "audio")
    files.save("job_1", b"sound")
    assert stat.S_IMODE((tmp_path / "audio").stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "audio" / "job_1").stat().st_mode) == 0o600


def test_what_was_half_written_is_no_recording(tmp_path: Path) -> None:
    files = AudioFiles(tmp_path / "audio")
    files.save("job_1", b"sound")
    (tmp_path / "audio" / "job_2.part").write_bytes(b"so")
    assert files.sizes() == {"job_1": 5}
    assert not (tmp_path / "audio" / "job_2.part").exists()


def test_a_disk_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = AudioFiles(tmp_path / "audio")

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("edge.jobs.audio_files.os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        files.save("job_1", b"sound")
    assert list((tmp_path / "audio").iterdir()) == []
