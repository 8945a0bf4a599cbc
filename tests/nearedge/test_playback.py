import pytest

from nearedge.playback import Playback

SECOND = bytes(48_000)


def test_sound_that_comes_in_time_does_not_stall() -> None:
    played = Playback()
    for at in (5.0, 5.2, 6.9):
        played.take(SECOND, at)
    assert (played.first_at, played.seconds, played.stalled_seconds) == (5.0, 3.0, 0.0)


def test_sound_that_comes_late_stalls_for_as_long_as_nothing_is_left() -> None:
    played = Playback()
    for at in (1.0, 2.25, 3.25, 5.0):
        played.take(SECOND, at)
    assert played.stalled_seconds == pytest.approx(0.25 + 0.75)


def test_an_empty_piece_is_none() -> None:
    played = Playback()
    played.take(b"", 1.0)
    assert played.first_at is None
    assert played.seconds == 0.0
