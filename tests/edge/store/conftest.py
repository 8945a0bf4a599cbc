from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.edge.store.databases import Place, postgresql_database


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """Where an empty database is, of each kind in turn."""
    if request.param == "sqlite":
        yield Place(tmp_path, None)
        return
    with postgresql_database() as url:
        yield Place(tmp_path, url)
