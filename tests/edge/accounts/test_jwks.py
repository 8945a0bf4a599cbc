import base64
from datetime import UTC, datetime, timedelta
from pathlib import Path

import anyio
import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from edge.accounts import jwks as module
from edge.accounts.jwks import KeySet, KeysUnavailable, parse_keys, read_source
from edge.accounts.kept_keys import KeptKeys
from tests.edge.accounts.issuer import EC, ED, PUBLISHED, RSA, jwk, jwks, served

URL = "https://issuer.example/keys"
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

    def keys(self, kept: KeptKeys | None = None) -> KeySet:
        return KeySet(URL, kept=kept, read=self.read, timer=lambda: self.now)


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


@pytest.mark.anyio
async def test_keys_are_known_after_a_restart_while_their_issuer_is_away(tmp_path: Path) -> None:
    now = datetime(2026, 3, 1, 12, tzinfo=UTC)
    kept = KeptKeys(tmp_path / "keys", URL, now=lambda: now)
    source = Source()
    assert await source.keys(kept).find("rsa") is not None
    source.error = OSError("down")
    now += timedelta(seconds=module.STALE_SECONDS - 10)
    restarted = source.keys(kept)
    assert await restarted.find("rsa") is not None
    with pytest.raises(KeysUnavailable):
        await restarted.find("unknown")
    source.now = 11
    with pytest.raises(KeysUnavailable):
        await restarted.find("rsa")


@pytest.mark.anyio
async def test_keys_that_were_withdrawn_are_not_kept(tmp_path: Path) -> None:
    kept = KeptKeys(tmp_path / "keys", URL)
    source = Source()
    await source.keys(kept).find("rsa")
    source.content = jwks(jwk(OTHER, "new"))
    assert await source.keys(kept).find("new") is not None
    source.error = OSError("down")
    with pytest.raises(KeysUnavailable):
        await source.keys(kept).find("rsa")
    assert await source.keys(kept).find("new") is not None


@pytest.mark.anyio
async def test_what_is_no_jwks_is_not_kept(tmp_path: Path) -> None:
    kept = KeptKeys(tmp_path / "keys", URL)
    source = Source()
    await source.keys(kept).find("rsa")
    source.content = b"<html>"
    for _ in range(2):
        assert await source.keys(kept).find("rsa") is not None


@pytest.mark.anyio
@pytest.mark.parametrize("seconds", [module.STALE_SECONDS + 1, -1])
async def test_kept_keys_of_too_long_ago_or_of_the_future_are_not_used(
    tmp_path: Path, seconds: float
) -> None:
    now = datetime(2026, 3, 1, 12, tzinfo=UTC)
    kept = KeptKeys(tmp_path / "keys", URL, now=lambda: now)
    source = Source()
    await source.keys(kept).find("rsa")
    source.error = OSError("down")
    now += timedelta(seconds=seconds)
    with pytest.raises(KeysUnavailable):
        await source.keys(kept).find("rsa")


@pytest.mark.anyio
async def test_kept_keys_that_are_none_are_not_used(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = KeptKeys(tmp_path / "keys", URL)
    await kept.keep(b"[]")
    source = Source()
    source.error = OSError("down")
    with pytest.raises(KeysUnavailable):
        await source.keys(kept).find("rsa")
    assert "kept keys of the token issuer are none" in capsys.readouterr().out


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
