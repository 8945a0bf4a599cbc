"""A small service on the real server: ``python -m tests.shared.tiny_service [seconds]`` prints its port.

Settings come from the environment; the argument replaces ``protocols.WRITE_SECONDS``.
"""

import asyncio
import os
import sys
from collections.abc import AsyncIterator

import anyio
import psutil
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from shared import logs, server
from shared.errors import EXCEPTION_HANDLERS, Unauthorized, Unavailable
from shared.http import protocols
from shared.http.drain import Drain
from shared.http.json import JsonResponse
from shared.http.stack import wrap
from shared.settings import CommonSettings, load

LIMIT_BYTES = 1024 * 1024


def build(drain: Drain) -> Starlette:
    async def health(_request: Request) -> Response:
        if drain.draining:
            raise Unavailable("stopping")
        return PlainTextResponse("ok")

    async def quick(_request: Request) -> Response:
        return PlainTextResponse("ok")

    async def stream(request: Request) -> Response:
        chunks = int(request.query_params["chunks"])

        async def write() -> AsyncIterator[str]:
            for number in range(chunks):
                yield f"{number}\n"
                await anyio.sleep(0.1)

        return StreamingResponse(write())

    async def late(_request: Request) -> Response:
        async def write() -> AsyncIterator[str]:
            await anyio.sleep(1)
            yield "late"

        return StreamingResponse(write())

    async def flood(_request: Request) -> Response:
        async def write() -> AsyncIterator[bytes]:
            while True:
                yield bytes(100_000)

        return StreamingResponse(write())

    async def broken(_request: Request) -> Response:
        async def write() -> AsyncIterator[str]:
            yield "half"
            raise RuntimeError("broken in mid-answer")

        return StreamingResponse(write())

    async def wait(request: Request) -> Response:
        await anyio.sleep(float(request.query_params["seconds"]))
        return PlainTextResponse("x" * 100_000)

    async def size(request: Request) -> Response:
        return JsonResponse(len(await request.body()))

    async def refuse(_request: Request) -> Response:
        await anyio.sleep(0.2)
        raise Unauthorized("no")

    async def inside(_request: Request) -> Response:
        return JsonResponse(
            {
                "in_flight": drain.in_flight,
                "tasks": len(asyncio.all_tasks()),
                "descriptors": psutil.Process().num_fds(),
            }
        )

    return Starlette(
        routes=[
            Route("/health", health),
            Route("/quick", quick),
            Route("/stream", stream),
            Route("/late", late),
            Route("/flood", flood),
            Route("/broken", broken),
            Route("/wait", wait),
            Route("/size", size, methods=["POST"]),
            Route("/refuse", refuse, methods=["POST"]),
            Route("/inside", inside),
        ],
        exception_handlers=EXCEPTION_HANDLERS,
    )


def main() -> None:
    settings = load(CommonSettings, os.environ)
    logs.configure("info", "json")
    if len(sys.argv) > 1:
        protocols.WRITE_SECONDS = float(sys.argv[1])
    drain = Drain()
    limits = {"": LIMIT_BYTES, "/refuse": sys.maxsize}
    app = wrap(build(drain), drain=drain, body_limits=limits, read_seconds=settings.body_read_seconds)
    listener = server.bind("127.0.0.1", 0)
    sys.stdout.write(f"{listener.getsockname()[1]}\n")
    sys.stdout.flush()
    server.run(app, listener, drain=drain, settings=settings)


if __name__ == "__main__":
    main()
