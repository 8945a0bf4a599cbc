from pathlib import Path

import numpy as np
import pytest

from edge.models.kokoro_voices import SHAPE, convert
from tests.models import pulled


def test_voices_are_joined_by_name(tmp_path: Path) -> None:
    inputs = {}
    for index, name in enumerate(["zoe", "ann"]):
        inputs[name] = tmp_path / name
        np.full(SHAPE, index, dtype="<f4").tofile(inputs[name])
    convert(inputs, tmp_path / "voices.npz")
    with np.load(tmp_path / "voices.npz") as voices:
        assert sorted(voices) == ["ann", "zoe"]
        assert voices["ann"].shape == SHAPE
        assert voices["ann"].dtype == np.float32
        assert voices["ann"][0, 0] == 1


def test_a_file_of_another_size_is_refused(tmp_path: Path) -> None:
    (tmp_path / "ann").write_bytes(b"1234")
    with pytest.raises(ValueError, match="reshape"):
        convert({"ann": tmp_path / "ann"}, tmp_path / "voices.npz")


@pytest.mark.timeout(600)
def test_kokoro_has_its_54_voices() -> None:
    _, files = pulled("kokoro-82m")
    with np.load(files["voices"]) as voices:
        assert len(voices.files) == 54
        assert {"af_heart", "af_bella", "am_adam", "bf_emma", "bm_george"} <= set(voices.files)
        assert all(np.isfinite(voices[name]).all() for name in voices.files)
