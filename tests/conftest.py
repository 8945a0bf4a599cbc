from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from autorouter.geoip import FILE_NAME, GeoIP, default_file
from autorouter.settings import AutorouterSettings
from nearedge.geoip_file import PACKAGED_EPOCH, ensure_geoip, use_packaged
from shared.artifacts import Silent
from tests.edge.store.databases import Place, postgresql_database


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def geoip_file() -> Path:
    """The City file of the package, whatever newer one `nearedge geoip update` may have fetched since."""
    cache = AutorouterSettings().cache
    ensure_geoip(cache, Silent())
    with closing(GeoIP.open(default_file(cache))) as geoip:
        if geoip.info.build_epoch == PACKAGED_EPOCH:
            return default_file(cache)
    packaged = cache / "geoip" / "tests" / FILE_NAME
    use_packaged(packaged, Silent())
    return packaged


@pytest.fixture
def postgresql() -> Iterator[str]:
    """URL of an empty PostgreSQL database of the test's own."""
    with postgresql_database() as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """A database of the test's own, of either kind."""
    url = request.getfixturevalue("postgresql") if request.param == "postgresql" else None
    return Place(tmp_path, url)
