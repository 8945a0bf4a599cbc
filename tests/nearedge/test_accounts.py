from datetime import UTC, datetime
from pathlib import Path

import pytest

from edge.accounts import Registry
from nearedge.accounts import parse_moment, with_registry
from nearedge.settings import Settings


def test_a_moment_is_read_in_any_time_zone() -> None:
    expected = datetime(2027, 1, 31, 23, 59, 59, tzinfo=UTC)
    assert parse_moment("2027-01-31T23:59:59Z") == parse_moment("2027-02-01T01:59:59+02:00") == expected


@pytest.mark.parametrize("text", ["", "tomorrow", "2027-01-31", "2027-01-31T23:59:59"])
def test_a_text_without_moment_or_zone_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="2027-01-31T23:59:59Z"):
        parse_moment(text)


def test_a_fleet_out_of_reach_ends_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("NEAREDGE_DATABASE_URL", "postgresql://me:secret@127.0.0.1:1/fleet")

    async def act(_registry: Registry, _settings: Settings) -> None:
        pytest.fail("it ran")

    with pytest.raises(SystemExit) as raised:
        with_registry(tmp_path, act)
    told = capsys.readouterr().err
    assert raised.value.code == 1
    assert "PostgreSQL at 127.0.0.1:1/fleet" in told.replace("\n", " ")
    assert "secret" not in told
    assert list(tmp_path.iterdir()) == []
