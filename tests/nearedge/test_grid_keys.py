from pathlib import Path

import anyio

from edge.accounts import Key, KeyOrder, Keyring, Scope, open_registry
from edge.store import KeyStore, open_fleet
from nearedge.grid_keys import renew


async def find(home: Path, *raw: str) -> list[Key | None]:
    async with open_fleet(home, None) as database:
        keyring = Keyring(KeyStore(database), cache_seconds=0)
        return [await keyring.find(text) for text in raw]


async def create(home: Path, name: str) -> str:
    async with open_registry(home, None) as registry:
        return (await registry.keys.create(KeyOrder(name, frozenset({Scope.INFERENCE})))).raw


def test_keys_of_a_grid_end_with_the_next_one_and_others_stay(tmp_path: Path) -> None:
    lasting = anyio.run(create, tmp_path, "mine")
    first = renew(tmp_path)
    second = renew(tmp_path)
    assert len({first.inference, first.operator, second.inference, second.operator}) == 4
    found = anyio.run(
        find, tmp_path, first.inference, first.operator, second.inference, second.operator, lasting
    )
    assert found[:2] == [None, None]
    inference, operator, mine = found[2:]
    assert inference is not None
    assert operator is not None
    assert mine is not None
    assert inference.scopes == {Scope.INFERENCE}
    assert operator.scopes == {Scope.INFERENCE, Scope.SUPERADMIN}
