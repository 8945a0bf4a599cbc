import pytest
from sqlalchemy import Connection, select

from edge.store import UsageEvent
from edge.store.event_rows import EVENT_COLUMNS, add_events
from edge.store.tables.usage import usage_events, usage_outbox
from tests.edge.store.databases import Place
from tests.edge.store.usage_events import PLAIN, usage_event

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("table", [usage_outbox, usage_events], ids=lambda table: table.name)
async def test_every_field_comes_back_from_the_column_of_its_name(place: Place, table: object) -> None:
    assert table in (usage_outbox, usage_events)
    target = usage_outbox if table is usage_outbox else usage_events
    texts = {name: name for name, value in PLAIN._asdict().items() if isinstance(value, str) and name != "id"}
    counts = {
        name: 1000 + at for at, (name, value) in enumerate(PLAIN._asdict().items()) if type(value) is int
    }
    times = {"queue_ms": 0.1, "first_byte_ms": 1 / 3, "total_ms": 12345.678}
    events = [usage_event(**texts, **counts, **times, lease_id=lease) for lease in ("lease_1", None)]

    def back(connection: Connection) -> list[dict[str, object]]:
        columns = [target.c[name] for name in EVENT_COLUMNS]
        return [dict(row) for row in connection.execute(select(*columns).order_by(target.c.id)).mappings()]

    async with place.open() as database:
        await database.write_sync(lambda connection: add_events(connection, target, events))
        assert await database.read_sync(back) == [event._asdict() for event in sorted(events)]


def test_both_tables_have_a_column_for_every_field() -> None:
    for table in (usage_outbox, usage_events):
        assert [column.name for column in table.c if column.name != "seq"] == list(UsageEvent._fields)
