import asyncio
import shutil
import ssl
import subprocess
import time
from pathlib import Path

import anyio
import pytest

from edge.outbound import OutboundClient, OutboundError
from edge.outbound.addresses import Address
from tests.edge.outbound.servers import LOOPBACK, Server, reply, resolving, serving

pytestmark = pytest.mark.anyio

BODY = b"\x89PNG" * 1000


def client_for(
    server: Server, *, seconds: float = 5.0, trust: ssl.SSLContext | None = None
) -> OutboundClient:
    """Return a client for which the loopback is public, and ``a.example`` is there."""
    return OutboundClient(
        resolve=resolving(a=["127.0.0.1"]),
        allow=lambda address: address == LOOPBACK,
        ports={server.port},
        seconds=seconds,
        trust=trust,
    )


async def refusal(client: OutboundClient, url: str, max_bytes: int = len(BODY)) -> str:
    with pytest.raises(OutboundError) as refused, anyio.fail_after(10):
        await client.get(url, max_bytes=max_bytes, media="image")
    return str(refused.value)


async def test_a_public_url_is_fetched_with_its_own_host() -> None:
    async with serving(reply(BODY)) as server:
        url = f"http://a.example:{server.port}/p%20q?x=1#fragment"
        fetched = await client_for(server).get(url, max_bytes=len(BODY), media="image")
    assert (fetched.data, fetched.content_type) == (BODY, "image/png")
    head = server.heads[0].decode().lower()
    assert head.startswith("get /p%20q?x=1 http/1.1\r\n")
    assert f"\r\nhost: a.example:{server.port}\r\n" in head
    assert "authorization" not in head
    assert "cookie" not in head


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/",
        "http://[::1]/",
        "http://[::ffff:127.0.0.1]/",
        "http://169.254.169.254/latest/meta-data/",
        "http://localhost/",
        "http://127.1/",
        "http://2130706433/",
        "http://0x7f.1/",
        "http://0177.0.0.1/",
        "http://0/",
        "https://localhost./",
    ],
)
async def test_by_default_no_way_leads_to_this_machine(url: str) -> None:
    why = await refusal(OutboundClient(), url)
    assert why in {"its host is not on the public internet", "its host cannot be found", "it is no valid URL"}


@pytest.mark.parametrize("addresses", [["10.0.0.1"], ["1.1.1.1", "10.0.0.1"], ["::ffff:192.168.0.1"], []])
async def test_a_name_of_any_private_address_is_refused(addresses: list[str]) -> None:
    client = OutboundClient(resolve=resolving(a=addresses))
    assert await refusal(client, "http://a.example/") == "its host is not on the public internet"


async def test_the_address_that_was_checked_is_the_one_that_is_used() -> None:
    asked: list[str] = []

    async def rebinding(host: str, port: int) -> list[Address]:
        asked.append(host)
        return [LOOPBACK]

    async with serving(reply(BODY)) as server:
        # The name means nothing to the system's resolver: only an address that was given can be connected to.
        client = OutboundClient(resolve=rebinding, allow=lambda _address: True, ports={server.port})
        url = f"http://nowhere.invalid:{server.port}/"
        assert (await client.get(url, max_bytes=len(BODY), media="image")).data == BODY
    assert asked == ["nowhere.invalid"]


async def test_the_next_address_is_tried_where_one_does_not_answer() -> None:
    async with serving(reply(BODY)) as server:
        client = OutboundClient(
            resolve=resolving(a=["127.0.0.2", "127.0.0.1"]), allow=lambda _a: True, ports={server.port}
        )
        url = f"http://a.example:{server.port}/"
        assert (await client.get(url, max_bytes=len(BODY), media="image")).data == BODY


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("ftp://a.example/", "only http and https"),
        ("file:///etc/passwd", "only http and https"),
        ("gopher://a.example/", "only http and https"),
        ("//a.example/x", "only http and https"),
        ("/x", "only http and https"),
        ("", "only http and https"),
        ("http://", "only http and https"),
        ("http:///x", "only http and https"),
        ("http://u:p@a.example/", "user or password"),
        ("http://u@a.example/", "user or password"),
        ("http://a.example:22/", "only the ports 80, 443"),
        ("https://a.example:6379/", "only the ports 80, 443"),
        ("http://a.example:99999/", "only the ports 80, 443"),
        ("http://a.example/\r\nX: y", "no valid URL"),
        ("http://[::1/", "no valid URL"),
        ("http://" + "a" * 64 + ".example/", "cannot be found|no valid URL"),
        ("http://a..example/", "cannot be found|no valid URL"),
        ("http://xn--/", "cannot be found|no valid URL"),
        ("http://a.example/" + "x" * 8192, "8192 characters"),
        ("http://b.example/", "cannot be found"),
    ],
)
async def test_an_url_that_is_not_fetched(url: str, says: str) -> None:
    why = await refusal(OutboundClient(resolve=resolving(a=["10.0.0.1"])), url)
    assert any(part in why for part in says.split("|")), why


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (reply(b"", status="302 Found", Location="http://a.example/"), "redirects"),
        (reply(b"", status="307 Temporary Redirect", Location="/x"), "redirects"),
        (reply(b"", status="404 Not Found"), "answered 404"),
        (reply(BODY, status="206 Partial Content"), "answered 206"),
        (reply(BODY + b"x"), "larger than 4000 bytes"),
        (reply(BODY + b"x", Content_Length=""), "larger than 4000 bytes"),
        (reply(BODY, Content_Length="99999999999999999999"), "larger than 4000 bytes"),
        (reply(BODY, Content_Type="text/html"), "not of a type image/"),
        (reply(BODY, Content_Encoding="gzip"), "compressed"),
        (reply(BODY[:10], Content_Length="4000"), "cannot be reached"),
        (b"SSH-2.0-OpenSSH_9.6\r\n", "cannot be reached"),
        (b"", "cannot be reached"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 200_000, "cannot be reached"),
    ],
)
async def test_an_answer_that_is_not_taken(answer: bytes, says: str) -> None:
    async with serving(answer) as server:
        assert says in await refusal(client_for(server), f"http://a.example:{server.port}/")
    assert len(server.heads) == 1


@pytest.mark.parametrize("media_type", ["", "application/octet-stream", "IMAGE/JPEG; charset=x"])
async def test_a_type_that_is_not_stated_is_taken(media_type: str) -> None:
    async with serving(reply(BODY, Content_Type=media_type)) as server:
        url = f"http://a.example:{server.port}/"
        fetched = await client_for(server).get(url, max_bytes=len(BODY), media="image")
    assert fetched.content_type == media_type.partition(";")[0].lower()


async def test_a_server_that_drips_is_given_up_in_time() -> None:
    async def drip(writer: asyncio.StreamWriter) -> None:
        writer.write(reply(b"", Content_Length="4000"))
        while True:
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0.05)

    async with serving(drip) as server:
        started = time.monotonic()
        why = await refusal(client_for(server, seconds=0.4), f"http://a.example:{server.port}/")
    assert "within 0.4 seconds" in why
    assert time.monotonic() - started < 3


async def test_a_resolver_that_hangs_is_given_up_in_time() -> None:
    async def hang(_host: str, _port: int) -> list[Address]:
        await anyio.sleep_forever()
        raise AssertionError

    assert "within 0.2 seconds" in await refusal(
        OutboundClient(resolve=hang, seconds=0.2), "http://a.example/"
    )


async def test_a_port_where_nobody_listens() -> None:
    async with serving(b"") as server:
        pass
    assert "cannot be reached" in await refusal(client_for(server), f"http://a.example:{server.port}/")


def certificate(folder: Path, name: str) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Return the contexts of a server called *name* and of a client that trusts it."""
    assert shutil.which("openssl"), "this test makes a certificate with the openssl command"
    cert, key = folder / "cert.pem", folder / "key.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"),
            *("-keyout", str(key), "-out", str(cert), "-days", "2", "-subj", f"/CN={name}"),
            *("-addext", f"subjectAltName=DNS:{name}"),
        ],
        check=True,
        capture_output=True,
    )
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(cert, key)
    return server, ssl.create_default_context(cafile=str(cert))


async def test_a_certificate_is_checked_against_the_urls_host(tmp_path: Path) -> None:
    tls, trust = certificate(tmp_path, "a.example")
    names: list[str | None] = []
    tls.sni_callback = lambda _socket, name, _context: names.append(name)
    async with serving(reply(BODY), tls) as server:
        url = f"https://a.example:{server.port}/"
        client = client_for(server, trust=trust)
        assert (await client.get(url, max_bytes=len(BODY), media="image")).data == BODY
    assert names == ["a.example"]


@pytest.mark.parametrize("name", ["a.example", "b.example"])
async def test_a_certificate_of_another_is_refused(tmp_path: Path, name: str) -> None:
    tls, trust = certificate(tmp_path, name)
    async with serving(reply(BODY), tls) as server:
        client = client_for(server, trust=trust if name == "b.example" else None)
        assert "cannot be reached" in await refusal(client, f"https://a.example:{server.port}/")
    assert server.heads == []
