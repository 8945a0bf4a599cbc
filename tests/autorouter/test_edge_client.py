import gzip
import ssl
from dataclasses import replace
from pathlib import Path

import anyio
import pytest
from anyio.abc import ByteStream
from pydantic import SecretStr

from autorouter.edge_client import Miss, connector
from shared.edge_status import MAX_BYTES, EdgeStatus, encode
from shared.errors import Unavailable
from shared.http.json import encode as encode_json
from shared.regions import Region
from tests.autorouter import edges

pytestmark = pytest.mark.anyio

SECRET = SecretStr("s3cret")
CONNECT = connector(SECRET)


async def ask(region: Region) -> EdgeStatus:
    with anyio.fail_after(20):
        async with CONNECT(region, keep=True) as asking:
            return await asking()


async def miss(region: Region) -> Miss:
    with pytest.raises(Miss) as caught:
        await ask(region)
    assert "s3cret" not in str(caught.value)
    assert len(str(caught.value)) < 600
    return caught.value


async def miss_of(answer: edges.Answer) -> Miss:
    async with edges.edge(answer) as edge:
        return await miss(edge.region())


async def test_it_asks_with_the_secret_and_understands_the_answer() -> None:
    async with edges.edge(edges.well()) as edge:
        assert await ask(edge.region()) == edges.status()
    (head,) = edge.heads
    assert head.startswith("GET /internal/status HTTP/1.1\r\n")
    assert "authorization: bearer s3cret\r\n" in head.lower()
    assert "accept-encoding: identity\r\n" in head.lower()


async def test_an_url_may_have_a_path() -> None:
    async with edges.edge(edges.well()) as edge:
        await ask(replace(edge.region(), url=f"{edge.url}/edges/a"))
    assert edge.heads[0].startswith("GET /edges/a/internal/status ")


async def test_the_proxies_of_the_environment_do_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(variable, "http://127.0.0.1:9")
    async with edges.edge(edges.well()) as edge, connector(SECRET)(edge.region(), keep=True) as asking:
        assert await asking() == edges.status()


async def test_an_edge_must_have_a_certificate_that_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate = tmp_path / "both.pem"
    await anyio.run_process(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"),
            *("-keyout", str(certificate), "-out", str(certificate), "-days", "2"),
            *("-subj", "/CN=test", "-addext", "subjectAltName=IP:127.0.0.1"),
        ]
    )
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(certificate)
    async with edges.edge(edges.well(), tls=tls) as edge:
        secure = replace(edge.region(), url=edge.url.replace("http:", "https:"))
        assert "CERTIFICATE_VERIFY_FAILED" in str(await miss(secure))
        assert edge.heads == []
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        async with connector(SECRET)(secure, keep=True) as asking:
            assert await asking() == edges.status()


@pytest.mark.parametrize(("keep", "opened"), [(True, 1), (False, 3)])
async def test_a_connection_is_kept_or_not(keep: bool, opened: int) -> None:
    async with edges.edge(edges.well()) as edge:
        async with CONNECT(edge.region(), keep=keep) as asking:
            for _ in range(3):
                await asking()
        await edges.eventually(lambda: edge.open == 0)
    assert edge.opened == opened


async def test_nobody_there() -> None:
    async with edges.edge(edges.well()) as edge:
        gone = edge.region()
    assert str(await miss(gone)).startswith("ConnectError: ")


@pytest.mark.parametrize(
    ("code", "why"),
    [
        (401, "it answers 401: its internal secret is another"),
        (403, "it answers 403: it has no internal secret"),
        (404, "it answers 404: it is no edge, or an older one"),
        (500, "it answers 500"),
        (503, "it answers 503"),
        (204, "it answers 204"),
    ],
)
async def test_a_refusal_is_told_with_what_to_look_at(code: int, why: str) -> None:
    body = b"" if code == 204 else encode(edges.status())
    found = await miss_of(edges.answering(edges.response(body, code)))
    assert (str(found), found.leaving) == (why, False)


async def test_an_edge_that_refuses_because_it_is_stopping_is_leaving() -> None:
    body = encode_json(Unavailable("stopping", code="shutting_down").body())
    assert (await miss_of(edges.answering(edges.response(body, 503)))).leaving
    assert not (await miss_of(edges.answering(edges.response(body, 500)))).leaving


@pytest.mark.parametrize("body", [b"", b"[]", b'{"error": 1}', b'{"error": {"code": ["shutting_down"]}}'])
async def test_no_other_503_is(body: bytes) -> None:
    assert not (await miss_of(edges.answering(edges.response(body, 503)))).leaving


async def test_a_redirect_is_not_followed() -> None:
    async with edges.edge(edges.well()) as target:
        moved = edges.response(b"", 302, f"Location: {target.url}/internal/status")
        assert str(await miss_of(edges.answering(moved))) == "it answers 302"
        assert target.opened == 0


async def test_the_status_of_another_region_does_not_count() -> None:
    assert str(await miss_of(edges.well("b-01"))) == "it is the edge of 'b-01'"


@pytest.mark.parametrize("body", [b"", b"<html>", b'{"region": "a-01"}', bytes(1000)])
async def test_what_is_no_status_does_not_count(body: bytes) -> None:
    found = await miss_of(edges.answering(edges.response(body)))
    assert str(found).startswith("its answer is no status: ")


@pytest.mark.parametrize(
    "data",
    [b"\x16\x03\x01", b"SSH-2.0-x\r\n", b"HTTP/1.1 200 X\r\nContent-Length: 9\r\n\r\n123", b"\r\n" * 9],
)
async def test_what_is_no_http_does_not_count(data: bytes) -> None:
    async def answer(stream: ByteStream) -> None:
        await stream.send(data)
        raise anyio.EndOfStream

    assert "RemoteProtocolError: " in str(await miss_of(answer))


async def test_an_endless_body_is_left_at_its_limit() -> None:
    sent = 0

    async def flood(stream: ByteStream) -> None:
        nonlocal sent
        await stream.send(b"HTTP/1.1 200 X\r\n\r\n")
        while True:
            await stream.send(bytes(10_000))
            sent += 10_000

    assert str(await miss_of(flood)) == f"its answer is longer than {MAX_BYTES} bytes"
    # What the sockets' buffers hold was sent too.
    assert sent < 20 * 2**20


async def test_an_endless_head_is_left_too() -> None:
    async def flood(stream: ByteStream) -> None:
        await stream.send(b"HTTP/1.1 200 X\r\n")
        while True:
            await stream.send(b"X-A: " + b"a" * 10_000 + b"\r\n")

    assert "RemoteProtocolError: " in str(await miss_of(flood))


async def test_a_packed_body_is_not_unpacked() -> None:
    bomb = gzip.compress(bytes(50 * 2**20))
    found = await miss_of(edges.answering(edges.response(bomb, 200, "Content-Encoding: gzip")))
    assert str(found).startswith("its answer is no status: ")
