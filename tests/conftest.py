from contextlib import closing
from pathlib import Path

import pytest

from autorouter.geoip import FILE_NAME, GeoIP, default_file
from autorouter.settings import AutorouterSettings
from nearedge.geoip_file import PACKAGED_EPOCH, ensure_geoip, use_packaged
from shared.artifacts import Silent


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
