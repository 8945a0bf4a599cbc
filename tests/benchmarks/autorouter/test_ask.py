import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from benchmarks.autorouter import ask
from benchmarks.autorouter.ask import ask_all
from benchmarks.processes import BenchmarkError

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def autorouter(status: str = "200 OK", *, seconds: float = 0.0) -> AsyncIterator[int]:
    """The port of a server whose answers tell what it was asked."""

    open_now: set[asyncio.Task[None] | None] = set()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        open_now.add(asyncio.current_task())
        try:
            while True:
                line, *fields = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
                await asyncio.sleep(seconds)
                headers = dict(field.split(": ", 1) for field in fields if field)
                body = json.dumps({line.split()[1]: headers["X-Forwarded-For"]}).encode()
                writer.write(f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    server = await asyncio.start_server(handle, ask.HOST, 0)
    yield server.sockets[0].getsockname()[1]
    server.close()
    await asyncio.gather(*filter(None, open_now))


async def test_every_question_gets_its_own_answer() -> None:
    questions = [(f"8.8.{n // 256}.{n % 256}", "global" if n % 2 else "country") for n in range(500)]
    async with autorouter() as port:
        answers = await ask_all(port, questions)
    assert answers == [{f"/v1/route?scope={scope}": address} for address, scope in questions]


async def test_no_question_is_no_answer() -> None:
    assert await ask_all(1, []) == []


async def test_an_answer_that_is_no_200_is_told() -> None:
    async with autorouter("404 Not Found") as port:
        with pytest.raises(BenchmarkError, match="404 not found"):
            await ask_all(port, [("8.8.8.8", "country")])


async def test_waiting_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ask, "ANSWER_SECONDS", 0.1)
    async with autorouter(seconds=0.5) as port:
        with pytest.raises(BenchmarkError, match="TimeoutError"):
            await ask_all(port, [("8.8.8.8", "country")])
