"""Edges on machines of their own that share the keys of one fleet."""

import json
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import psycopg
import pytest

from tests.e2e.cable import cable
from tests.e2e.errors import assert_error
from tests.e2e.services import free_ports, run, service
from tests.edge.store.databases import postgresql_database

REGIONS = ("yto-01", "nyc-01", "yul-01")
STATED_SECONDS = 2.0
"""Within this time every edge knows of a change, the README says."""


@contextmanager
def edge(region: str, home: Path, database_url: str) -> Iterator[str]:
    home.mkdir(exist_ok=True)
    port = free_ports(1)
    arguments = ("edge", "--region", region, "--port", port, "--home", home)
    settings = {"edge_models": "", "database_url": database_url, "drain_delay_seconds": 0}
    with service(home / "log", *arguments, **settings) as running:
        url = f"http://127.0.0.1:{port}"
        running.wait_until_healthy(url)
        yield url
        running.stop()


def models(url: str, key: str) -> httpx.Response:
    return httpx.get(f"{url}/v1/models", headers={"Authorization": f"Bearer {key}"}, timeout=30)


def seconds_until(url: str, key: str, status: int) -> float:
    started = time.monotonic()
    while models(url, key).status_code != status:
        assert time.monotonic() - started < 30
        time.sleep(0.02)
    return time.monotonic() - started


@pytest.fixture(scope="module")
def database_url(_no_foreign_settings: None) -> Iterator[str]:
    with postgresql_database() as url:
        yield url


def test_a_key_made_and_revoked_at_one_edge_counts_at_the_others_within_the_stated_time(
    database_url: str, tmp_path: Path
) -> None:
    with ExitStack() as stack:
        # All at once, on an empty database: one of them makes the tables.
        one, two, three = [
            stack.enter_context(edge(region, tmp_path / region, database_url)) for region in REGIONS
        ]
        done = run("keys", "create", "--scope", "superadmin", "--json", database_url=database_url)
        operator = json.loads(done.stdout)["key"]
        assert run("tenants", "create", "acme", database_url=database_url).returncode == 0
        assert max(seconds_until(url, operator, 200) for url in (one, two, three)) < STATED_SECONDS

        headers = {"Authorization": f"Bearer {operator}"}
        order = {"tenant_id": "acme", "scopes": ["keys", "read"], "regions": ["yto-01", "nyc-01"]}
        made = httpx.post(f"{one}/v1/tokens", headers=headers, json=order, timeout=30).json()
        assert models(one, made["key"]).status_code == 200
        assert seconds_until(two, made["key"], 200) < STATED_SECONDS
        seconds_until(three, made["key"], 403)
        assert_error(models(three, made["key"]), 403, "yul-01")

        own = {"Authorization": f"Bearer {made['key']}"}
        gone = httpx.delete(f"{two}/v1/tokens/{made['id']}", headers=own, timeout=30)
        assert gone.json()["status"] == "revoked"
        assert_error(models(two, made["key"]), 401, "Invalid API key")
        assert seconds_until(one, made["key"], 401) < STATED_SECONDS


def test_known_keys_are_served_while_the_database_is_out_of_reach(database_url: str, tmp_path: Path) -> None:
    parts = urlsplit(database_url)
    done = run("keys", "create", "--scope", "keys", "--json", database_url=database_url)
    key = json.loads(done.stdout)["key"]
    with cable(parts.hostname or "", parts.port or 5432) as connection:
        through = parts._replace(netloc=f"{parts.username}@127.0.0.1:{connection.port}").geturl()
        with edge("yto-01", tmp_path / "home", through) as url:
            headers = {"Authorization": f"Bearer {key}"}
            assert httpx.get(f"{url}/v1/tokens", headers=headers, timeout=30).status_code == 200
            connection.cut()
            assert_error(models(url, key), 403, "scope")  # known, and what it may do
            refused = httpx.get(f"{url}/v1/tokens", headers=headers, timeout=30)
            assert assert_error(refused, 503, "try again")["code"] == "store_unavailable"
            assert refused.headers["retry-after"]
            seconds_until(url, "pg_never_seen", 503)  # it may have been made meanwhile
            assert models(url, key).status_code == 403
    with edge("yto-01", tmp_path / "home", through) as url:
        assert models(url, key).status_code == 403
        assert models(url, "pg_never_seen_either").status_code == 503


def test_a_database_of_a_newer_version_stops_the_start(database_url: str, tmp_path: Path) -> None:
    assert run("tenants", "list", database_url=database_url).returncode == 0
    with psycopg.connect(database_url) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    for arguments in (("edge", "--port", 0, "--home", tmp_path), ("keys", "list")):
        done = run(*arguments, edge_models="", database_url=database_url)
        assert done.returncode == 1
        assert "its schema is 9999" in done.stderr
        assert "upgrade Nearedge here" in done.stderr
