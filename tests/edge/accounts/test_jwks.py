import base64
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import anyio
import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from edge.accounts import jwks as module
from edge.accounts.jwks import KeySet, KeysUnavailable, parse_keys, read_source
from tests.edge.accounts.issuer import EC, ED, PUBLISHED, RSA, jwk, jwks

OTHER = rsa.generate_private_key(65537, 2048)


class Source:
    """Stands for where the keys are read from."""

    def __init__(self, content: bytes = PUBLISHED) -> None:
        self.content = content
        self.reads = 0
        self.error: Exception | None = None
        self.now = 0.0

    async def read(self, _source: str) -> bytes:
        self.reads += 1
        if self.error is not None:
            raise self.error
        return self.content

    def keys(self) -> KeySet:
        return KeySet("https://issuer.example/keys", read=self.read, timer=lambda: self.now)


def test_keys_go_with_the_algorithms_of_their_kind_or_the_one_that_they_name() -> None:
    document = jwks(
        jwk(RSA, "any"),
        jwk(RSA, "one", alg="PS256"),
        jwk(EC, "ec"),
        jwk(ED, "ed"),
        jwk(EC, "odd", alg="RS256"),
    )
    found = {kid: set(key.algorithms) for kid, key in parse_keys(document).items()}
    assert found == {
        "any": {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"},
        "one": {"PS256"},
        "ec": {"ES256"},
        "ed": {"EdDSA"},
    }


def test_what_signs_nothing_is_left_out() -> None:
    secret = {"kty": "oct", "kid": "secret", "k": base64.urlsafe_b64encode(b"x" * 64).decode()}
    document = jwks(
        secret, jwk(RSA, "enc", use="enc"), {"kty": "RSA", "kid": "torn"}, {"kid": "none"}, jwk(EC, "ec")
    )
    assert parse_keys(document).keys() == {"ec"}


@pytest.mark.parametrize("document", [b"", b"<html>", b"[]", b"{}", b'{"keys": {}}', b'"keys"'])
def test_what_is_no_jwks_is_refused(document: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_keys(document)


@pytest.mark.anyio
async def test_known_keys_are_found_without_a_fetch() -> None:
    source = Source()
    keys = source.keys()
    for _ in range(3):
        assert await keys.find("rsa") is not None
    assert source.reads == 1
    source.error = OSError("down")
    source.now = module.STALE_SECONDS
    assert await keys.find("rsa") is not None
    assert source.reads == 1
    source.now += 1
    with pytest.raises(KeysUnavailable):
        await keys.find("rsa")


@pytest.mark.anyio
async def test_unknown_ids_cause_few_fetches_however_many_come() -> None:
    source = Source()
    keys = source.keys()
    for number in range(50):
        assert await keys.find(f"unknown-{number}") is None
    assert source.reads == 1
    source.now = module.UNKNOWN_SECONDS
    source.content = jwks(jwk(OTHER, "new"))
    found: list[object] = []

    async def ask() -> None:
        found.append(await keys.find("new"))

    async with anyio.create_task_group() as tasks:
        for _ in range(10):
            tasks.start_soon(ask)
    assert source.reads == 2
    assert None not in found
    assert await keys.find("rsa") is None  # withdrawn


@pytest.mark.anyio
@pytest.mark.parametrize(
    "error", [OSError("down"), httpx.ConnectError("down"), ValueError("the answer is 500")]
)
async def test_keys_that_cannot_be_fetched_are_not_missing_keys(error: Exception) -> None:
    source = Source()
    source.error = error
    keys = source.keys()
    for _ in range(3):
        with pytest.raises(KeysUnavailable):
            await keys.find("rsa")
    assert source.reads == 1
    source.now, source.error = module.UNKNOWN_SECONDS, None
    assert await keys.find("rsa") is not None


@pytest.mark.anyio
async def test_a_token_that_names_no_key_is_of_the_only_one() -> None:
    assert await Source().keys().find(None) is None
    assert await Source(jwks(jwk(RSA, "rsa"))).keys().find(None) is not None


@pytest.mark.anyio
async def test_keys_are_fetched_before_they_are_asked_for_and_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "REFRESH_SECONDS", 0.05)
    source = Source()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(source.keys().run)
        with anyio.fail_after(5):
            while source.reads < 3:
                await anyio.sleep(0.01)
        tasks.cancel_scope.cancel()


@contextmanager
def served(status: int, content: bytes, **headers: str) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/keys"
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.anyio
async def test_keys_are_read_from_a_url_or_a_file(tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    await anyio.Path(file).write_bytes(PUBLISHED)
    assert await read_source(str(file)) == PUBLISHED
    with served(200, PUBLISHED) as url:
        assert await read_source(url) == PUBLISHED
        assert await KeySet(url).find("ec") is not None


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("status", "content", "reason"),
    [(404, b"", "the answer is 404"), (302, b"", "the answer is 302"), (200, b" " * (2**20 + 1), "larger")],
)
async def test_another_answer_is_none(status: int, content: bytes, reason: str) -> None:
    with served(status, content, Location="/elsewhere") as url, pytest.raises(ValueError, match=reason):
        await read_source(url)


@pytest.mark.anyio
async def test_the_log_and_the_error_do_not_hold_the_secrets_of_the_url(
    capsys: pytest.CaptureFixture[str],
) -> None:
    async def unreachable(_source: str) -> bytes:
        raise OSError("no route")

    keys = KeySet("https://edge:hunter2@issuer.example/keys?token=hunter3", read=unreachable)
    with pytest.raises(KeysUnavailable) as raised:
        await keys.find("a")
    for told in (str(raised.value), "".join(capsys.readouterr())):
        assert "https://issuer.example/keys" in told
        assert "hunter" not in told
