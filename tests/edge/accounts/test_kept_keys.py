import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import anyio
import orjson
import pytest

from edge.accounts.kept_keys import Kept, KeptKeys

pytestmark = pytest.mark.anyio

SOURCE = "https://edge:hunter2@issuer.example/keys?token=hunter3"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "issuer-keys.json"


async def test_what_was_kept_is_there_with_its_age_after_a_restart(file: Path) -> None:
    now = datetime(2026, 3, 1, 12, tzinfo=UTC)
    assert await KeptKeys(file, SOURCE).load() is None
    for content in (b'{"keys": []}', b'{"keys": [1]}'):
        await KeptKeys(file, SOURCE, now=lambda: now).keep(content)
    later = KeptKeys(file, SOURCE, now=lambda: now + timedelta(hours=3))
    assert await later.load() == Kept(b'{"keys": [1]}', 3 * 3600)


async def test_it_is_of_its_source_alone_and_for_its_owner_alone(file: Path) -> None:
    await KeptKeys(file, SOURCE).keep(b"{}")
    assert await KeptKeys(file, "https://issuer.example/keys").load() is None
    written = anyio.Path(file)
    assert stat.S_IMODE((await written.stat()).st_mode) == 0o600
    assert b"hunter" not in await written.read_bytes()
    assert [path.name async for path in written.parent.iterdir()] == [file.name]


@pytest.mark.parametrize(
    "damage",
    [
        b"",
        b"\xff",
        b"[]",
        b"{}",
        b'{"source_sha256": 1}',
        {"fetched_at": "soon"},
        {"fetched_at": "2026-03-01T12:00:00"},
        {"document": None},
    ],
)
async def test_a_damaged_file_is_none_and_is_told_of(
    file: Path, damage: bytes | dict[str, object], capsys: pytest.CaptureFixture[str]
) -> None:
    await KeptKeys(file, SOURCE).keep(b"{}")
    written = anyio.Path(file)
    if isinstance(damage, dict):
        damage = orjson.dumps(orjson.loads(await written.read_bytes()) | damage)
    await written.write_bytes(damage)
    assert await KeptKeys(file, SOURCE).load() is None
    told = "cannot be read" in capsys.readouterr().out
    assert told == (damage != b'{"source_sha256": 1}'), "that one is of another source"


async def test_a_disk_that_is_full_ends_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    await KeptKeys(tmp_path / "gone" / "issuer-keys.json", SOURCE).keep(b"{}")
    assert "cannot be kept" in capsys.readouterr().out
