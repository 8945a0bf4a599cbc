from pathlib import Path

import numpy as np
import pytest

from benchmarks.processes import BenchmarkError
from benchmarks.speech import peers


def test_without_peers_it_says_what_makes_them(tmp_path: Path) -> None:
    with pytest.raises(BenchmarkError, match=r"python -m benchmarks\.speech\.peers"):
        peers.find(tmp_path)


def test_what_is_made_is_found_and_not_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[list[str]] = []

    def run(command: list[str]) -> None:
        ran.append(command)
        if "venv" in command:
            Path(command[-1]).mkdir(parents=True)

    monkeypatch.setattr(peers, "_run", run)
    found = peers.make(tmp_path)
    assert [command[-1] for command in ran if "install" in command] == [
        peers.WHISPER_SERVER,
        peers.KOKORO_SERVER,
    ]
    assert peers.make(tmp_path) == peers.find(tmp_path) == found
    assert len(ran) == 4
    assert found.kokoro_server.parts[-3:] == ("fastkokoro-0.7.0", "bin", "fastkokoro")


def test_voices_get_the_axis_that_the_peer_expects(tmp_path: Path) -> None:
    np.savez(tmp_path / "voices.npz", af_a=np.arange(6, dtype=np.float32).reshape(3, 2))
    target = peers.voices_for_kokoro_server(tmp_path / "voices.npz", tmp_path / "other.npz")
    with np.load(target) as styles:
        assert styles["af_a"].shape == (3, 1, 2)
        assert styles["af_a"][2].tolist() == [[4.0, 5.0]]
