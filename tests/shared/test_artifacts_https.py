from collections.abc import Iterator
from pathlib import Path

import pytest

from shared.artifacts import Silent, SourceFailed, https
from tests.file_server import FileServer, Served, file_server

BODY = bytes(range(256)) * 4000


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FileServer]:
    monkeypatch.setattr(https, "_PAUSE_SECONDS", 0.0)
    with file_server() as running:
        yield running


def fetch(url: str, to: Path, *, max_bytes: int = len(BODY), resume: bool = False) -> None:
    https.download(url, to, Silent(), max_bytes=max_bytes, resume=resume)


def test_a_file_arrives_whole(server: FileServer, tmp_path: Path) -> None:
    fetch(server.serve("/a", Served(BODY)), tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == BODY


def test_a_download_goes_on_where_an_earlier_one_stopped(server: FileServer, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(BODY[:1000])
    fetch(server.serve("/a", Served(BODY)), tmp_path / "a", resume=True)
    assert (tmp_path / "a").read_bytes() == BODY
    assert [asked.range for asked in server.asked] == ["bytes=1000-"]


def test_without_resume_nothing_old_is_kept(server: FileServer, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"old")
    fetch(server.serve("/a", Served(BODY)), tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == BODY


def test_a_complete_file_is_not_fetched_again(server: FileServer, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(BODY)
    fetch(server.serve("/a", Served(BODY)), tmp_path / "a", resume=True)
    assert (tmp_path / "a").read_bytes() == BODY


def test_a_file_longer_than_the_one_there_is_fetched_anew(server: FileServer, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(BODY + b"more")
    fetch(server.serve("/a", Served(BODY)), tmp_path / "a", resume=True)
    assert (tmp_path / "a").read_bytes() == BODY


def test_connections_that_break_are_taken_up_again(server: FileServer, tmp_path: Path) -> None:
    served = Served(BODY, cut_at=[100_000] * (https.ATTEMPTS + 2))
    fetch(server.serve("/a", served), tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == BODY
    assert server.asked[1].range == "bytes=100000-"


def test_a_server_without_ranges_is_read_from_the_start(server: FileServer, tmp_path: Path) -> None:
    fetch(server.serve("/a", Served(BODY, ranges=False, cut_at=[100_000])), tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == BODY


def test_a_file_that_changes_meanwhile_is_never_mixed(server: FileServer, tmp_path: Path) -> None:
    new = BODY[::-1]
    served = Served(BODY, etag='"1"', cut_at=[100_000])
    url = server.serve("/a", served)

    class Swapping(Silent):
        def meter(self, label: str, total_bytes: int | None = None):  # type: ignore[no-untyped-def]
            served.body, served.etag = new, '"2"'
            return super().meter(label, total_bytes)

    https.download(url, tmp_path / "a", Swapping(), max_bytes=len(BODY))
    assert (tmp_path / "a").read_bytes() == new


def test_a_server_in_trouble_is_asked_again(server: FileServer, tmp_path: Path) -> None:
    fetch(server.serve("/a", Served(BODY, statuses=[503, 429, 500])), tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == BODY


def test_a_server_that_stays_in_trouble_is_given_up(server: FileServer, tmp_path: Path) -> None:
    with pytest.raises(SourceFailed, match="503 Service Unavailable"):
        fetch(server.serve("/a", Served(statuses=[503] * 99)), tmp_path / "a")
    assert len(server.asked) == https.ATTEMPTS


def test_a_missing_file_is_not_asked_for_twice(server: FileServer, tmp_path: Path) -> None:
    with pytest.raises(SourceFailed, match="404 Not Found"):
        fetch(f"{server.url}/none", tmp_path / "a")
    assert len(server.asked) == 1


def test_nobody_there_asks_about_the_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(https, "_PAUSE_SECONDS", 0.0)
    with pytest.raises(SourceFailed, match=r"ConnectError.*is there a network\?"):
        fetch("http://127.0.0.1:9/a", tmp_path / "a")


@pytest.mark.parametrize("length_known", [True, False])
def test_more_than_allowed_is_refused(server: FileServer, tmp_path: Path, length_known: bool) -> None:
    url = server.serve("/a", Served(BODY, length_known=length_known))
    with pytest.raises(SourceFailed, match="than the 1000"):
        fetch(url, tmp_path / "a", max_bytes=1000)
    assert (tmp_path / "a").stat().st_size <= 1000


def test_redirects_are_followed_here(server: FileServer, tmp_path: Path) -> None:
    server.serve("/b", Served(BODY))
    fetch(server.serve("/a", Served(location="/b")), tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == BODY


def test_a_redirect_off_https_is_refused_and_its_secrets_not_told(server: FileServer, tmp_path: Path) -> None:
    url = server.serve("/a", Served(location="http://example.org/x?key=secret"))
    with pytest.raises(SourceFailed, match=r"redirects to http://example\.org/x, which is not https"):
        fetch(url, tmp_path / "a")


def test_redirects_without_end_are_given_up(server: FileServer, tmp_path: Path) -> None:
    with pytest.raises(SourceFailed, match="redirects more than"):
        fetch(server.serve("/a", Served(location="/a")), tmp_path / "a")


def test_a_password_goes_to_the_first_server_only(server: FileServer, tmp_path: Path) -> None:
    with file_server() as other:
        elsewhere = other.serve("/b", Served(BODY))
        url = server.serve("/a", Served(location=elsewhere))
        https.download(url, tmp_path / "a", Silent(), max_bytes=len(BODY), auth=("user", "secret"))
        assert server.asked[0].authorization is not None
        assert other.asked[0].authorization is None


def test_a_deadline_ends_a_slow_download(server: FileServer, tmp_path: Path) -> None:
    with pytest.raises(SourceFailed, match="took too long"):
        https.download(server.serve("/a", Served(BODY)), tmp_path / "a", Silent(), max_bytes=9**9, seconds=0)
