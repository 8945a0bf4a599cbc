"""An answer in the making, kept so that several callers can be given it."""

import tempfile
from typing import Any

import anyio
from starlette.types import Message, Send

MEMORY_BYTES = 1024 * 1024
"""Of one answer; what is longer lies in a file that vanishes with its end."""

PIECE_BYTES = 64 * 1024


class SharedAnswer:
    """Takes the messages of one response by :meth:`send` and gives them, from the first on, to any number of
    callers, while it still grows and after."""

    def __init__(self) -> None:
        self.status = 0
        self.headers: list[tuple[bytes, bytes]] = []
        self.size = 0
        self.whole = False
        """Whether the response has come to its own end."""
        self.ended = False
        self._file: Any = tempfile.SpooledTemporaryFile(MEMORY_BYTES)  # noqa: SIM115 - closed by close
        self._change = anyio.Event()

    @property
    def started(self) -> bool:
        return self.status != 0

    async def send(self, message: Message) -> None:
        """Take the next message of the response."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = [(bytes(name), bytes(value)) for name, value in message["headers"]]
        elif message["type"] == "http.response.body":
            body = message.get("body", b"")
            self._file.seek(self.size)
            self._file.write(body)
            self.size += len(body)
            self.whole = not message.get("more_body", False)
        self._tell()

    def end(self) -> None:
        """Let callers have the end of the response: no message will come any more."""
        self.ended = True
        self._tell()

    def body(self) -> bytes:
        """Return all of the body that there is."""
        self._file.seek(0)
        data: bytes = self._file.read()
        return data

    async def play(self, send: Send) -> bool:
        """Send the response from its beginning. A response that broke off is left unfinished.

        Returns False, and sends nothing, if there was none at all.
        """
        while not self.started:
            if self.ended:
                return False
            await self._change.wait()
        await send({"type": "http.response.start", "status": self.status, "headers": list(self.headers)})
        position = 0
        while True:
            if position < self.size:
                self._file.seek(position)
                piece = self._file.read(PIECE_BYTES)
                position += len(piece)
                last = self.ended and self.whole and position == self.size
                await send({"type": "http.response.body", "body": piece, "more_body": not last})
                if last:
                    return True
            elif self.ended:
                if self.whole:
                    await send({"type": "http.response.body", "body": b"", "more_body": False})
                return True
            else:
                await self._change.wait()

    def close(self) -> None:
        """Drop the body. Nobody may play it any more."""
        self._file.close()

    def _tell(self) -> None:
        self._change.set()
        self._change = anyio.Event()
