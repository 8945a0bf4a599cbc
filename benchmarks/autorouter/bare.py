"""A Starlette app on Hypercorn that returns a constant, on the port that the command line names.

It runs under the settings of Hypercorn that ``shared.server`` uses, and on uvloop, without anything else of
the product.
"""

import asyncio
import json
import logging
import sys

import uvloop
from hypercorn.asyncio import serve
from hypercorn.config import Config
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from shared.server import BACKLOG, CUT_SECONDS, HANDSHAKE_SECONDS, KEEP_ALIVE_SECONDS


def build_app(constant: object) -> Starlette:
    async def route(_request: Request) -> JSONResponse:
        return JSONResponse(constant)

    return Starlette(routes=[Route("/v1/route", route)])


def main() -> None:
    port, constant = sys.argv[1:]
    config = Config()
    config.bind = [f"127.0.0.1:{port}"]
    config.backlog = BACKLOG
    config.keep_alive_timeout = KEEP_ALIVE_SECONDS
    config.keep_alive_max_requests = sys.maxsize
    config.ssl_handshake_timeout = HANDSHAKE_SECONDS
    config.graceful_timeout = CUT_SECONDS
    config.include_server_header = False
    config.errorlog = logging.getLogger("hypercorn.error")
    app = build_app(json.loads(constant))
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(app, config))  # type: ignore[arg-type]


if __name__ == "__main__":
    main()
