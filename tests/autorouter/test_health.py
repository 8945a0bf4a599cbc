from datetime import UTC, datetime, timedelta
from pathlib import Path

import maxminddb
import pytest

from tests.autorouter.conftest import Start

pytestmark = pytest.mark.anyio


async def test_health_tells_what_the_answers_rest_on(start: Start, geoip_file: Path) -> None:
    with maxminddb.open_database(geoip_file) as reader:
        built = reader.metadata().build_epoch
    async with start() as autorouter, autorouter.client() as client:
        response = await client.get("/health")
    assert response.status_code == 200
    assert response.headers["cache-control"] == "no-store"
    body = response.json()
    assert body["status"] == "healthy"
    assert body["node"] == "autorouter"
    assert body["runtime"].startswith("python 3.")
    assert body["regions"] == 17
    assert body["edges"] == {
        "watched": False,
        "up": 0,
        "busy": 0,
        "draining": 0,
        "down": 0,
        "unknown": 17,
    }
    now = datetime.now(UTC)
    assert now - datetime.fromisoformat(body["timestamp"]) < timedelta(minutes=1)
    assert body["timestamp"].endswith("Z")
    assert body["geoip"] == {
        "file": geoip_file.name,
        "database_type": "GeoLite2-City",
        "build_epoch": built,
        "age_days": (now - datetime.fromtimestamp(built, UTC)).days,
    }


async def test_health_needs_no_key_and_minds_none(start: Start) -> None:
    async with start() as autorouter, autorouter.client() as client:
        for headers in ({}, {"Authorization": "Bearer pg_wrong"}, {"Authorization": "nonsense"}):
            assert (await client.get("/health", headers=headers)).status_code == 200
        assert (await client.head("/health")).status_code == 200


async def test_health_fails_while_draining_but_routes_are_still_answered(start: Start) -> None:
    async with start() as autorouter, autorouter.client() as client:
        serving = (await client.get("/health")).json()
        autorouter.drain.draining = True
        response = await client.get("/health")
        route = await client.get("/v1/route")
    assert response.status_code == 503
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["retry-after"] == "1"
    body = response.json()
    assert body["status"] == "unhealthy"
    assert body.keys() == serving.keys() | {"detail", "error"}
    assert body["detail"] == body["error"]["message"]
    assert route.status_code == 200
