"""Asking an autorouter tens of thousands of questions and keeping every answer."""

import asyncio
from collections.abc import Iterator, Sequence
from typing import Any

import orjson

from benchmarks.processes import BenchmarkError

HOST = "127.0.0.1"
CONNECTIONS = 8
ANSWER_SECONDS = 30.0

Question = tuple[str, str]
"""The caller's address and the scope."""


async def ask_all(port: int, questions: Sequence[Question]) -> list[dict[str, Any]]:
    """Return the answers of the autorouter at *port* to *questions*, in their order.

    Raises:
        BenchmarkError: a question is not answered with 200 in time.
    """
    answers: list[dict[str, Any]] = [{}] * len(questions)
    waiting = iter(range(len(questions)))
    try:
        async with asyncio.TaskGroup() as connections:
            for _ in range(min(CONNECTIONS, len(questions))):
                connections.create_task(_ask(port, questions, waiting, answers))
    except ExceptionGroup as group:
        raise BenchmarkError(f"the autorouter did not answer: {group.exceptions[0]!r}") from group
    return answers


async def _ask(
    port: int, questions: Sequence[Question], waiting: Iterator[int], answers: list[dict[str, Any]]
) -> None:
    reader, writer = await asyncio.open_connection(HOST, port)
    try:
        for number in waiting:
            address, scope = questions[number]
            line = f"GET /v1/route?scope={scope} HTTP/1.1"
            writer.write(f"{line}\r\nHost: {HOST}\r\nX-Forwarded-For: {address}\r\n\r\n".encode())
            async with asyncio.timeout(ANSWER_SECONDS):
                answers[number] = orjson.loads(await _body(reader))
    finally:
        writer.close()


async def _body(reader: asyncio.StreamReader) -> bytes:
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    status, *fields = head.split(b"\r\n")
    if status.split()[1] != b"200":
        raise BenchmarkError(f"the answer is {status.decode()}")
    (length,) = [int(field.partition(b":")[2]) for field in fields if field.startswith(b"content-length:")]
    return await reader.readexactly(length)
