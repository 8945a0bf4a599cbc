"""Reads the server-sent events of one HTTP/1.1 answer as its bytes arrive."""

import enum

MAX_HEAD_BYTES = 64 * 1024
MAX_LINE_BYTES = 1024 * 1024


class BadAnswer(Exception):
    """What arrived is no HTTP/1.1 answer that this reader understands."""


class _State(enum.Enum):
    HEAD = enum.auto()
    CHUNK_SIZE = enum.auto()
    CHUNK = enum.auto()
    CHUNK_END = enum.auto()
    TRAILER = enum.auto()
    PLAIN = enum.auto()
    END = enum.auto()


class EventReader:
    """Feed it every piece that the socket gives; it returns the data of each event that a piece completes.

    ``status`` is None until the head is there. The body of an answer that is no event stream gathers in
    ``body``. ``complete`` tells that nothing more will come; where the length is not told, that is when
    the connection closes.
    """

    def __init__(self) -> None:
        self.status: int | None = None
        self.body = bytearray()
        self._state = _State.HEAD
        self._raw = bytearray()
        self._text = bytearray()
        self._left = 0
        self._ends_at_length = False
        self._is_events = False

    @property
    def complete(self) -> bool:
        return self._state is _State.END

    def feed(self, data: bytes) -> list[bytes]:
        """Return the data of the events that *data* completes; comments are no events.

        Raises:
            BadAnswer: the bytes are not understood.
        """
        self._raw += data
        events: list[bytes] = []
        while self._raw and self._state is not _State.END and self._step(events):
            pass
        return events

    def _step(self, events: list[bytes]) -> bool:
        """Take one part of the answer off the front; return whether there may be another."""
        match self._state:
            case _State.HEAD:
                head = self._until(b"\r\n\r\n", MAX_HEAD_BYTES)
                if head is None:
                    return False
                self._read_head(head)
            case _State.CHUNK_SIZE:
                line = self._until(b"\r\n", MAX_LINE_BYTES)
                if line is None:
                    return False
                self._left = _hexadecimal(line)
                self._state = _State.CHUNK if self._left else _State.TRAILER
            case _State.CHUNK | _State.PLAIN:
                self._read_body(events)
            case _State.CHUNK_END:
                if self._until(b"\r\n", 2) is None:
                    return False
                self._state = _State.CHUNK_SIZE
            case _State.TRAILER:
                line = self._until(b"\r\n", MAX_LINE_BYTES)
                if line is None:
                    return False
                if not line:
                    self._state = _State.END
        return True

    def _until(self, mark: bytes, most: int) -> bytes | None:
        end = self._raw.find(mark)
        if end < 0:
            if len(self._raw) > most:
                raise BadAnswer(f"no {mark!r} within {most} bytes")
            return None
        found = bytes(self._raw[:end])
        del self._raw[: end + len(mark)]
        return found

    def _read_head(self, head: bytes) -> None:
        first, *lines = head.decode("latin-1").split("\r\n")
        version, _, rest = first.partition(" ")
        if version != "HTTP/1.1" or not rest[:3].isdigit():
            raise BadAnswer(f"the answer begins with {first!r}")
        self.status = int(rest[:3])
        headers = {
            name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)
        }
        self._is_events = headers.get("content-type", "").startswith("text/event-stream")
        if headers.get("transfer-encoding", "").lower() == "chunked":
            self._state = _State.CHUNK_SIZE
        elif "content-length" in headers:
            self._left = int(headers["content-length"])
            self._ends_at_length = True
            self._state = _State.PLAIN if self._left else _State.END
        else:
            self._state = _State.PLAIN

    def _read_body(self, events: list[bytes]) -> None:
        counted = self._state is _State.CHUNK or self._ends_at_length
        piece = self._raw[: self._left] if counted else self._raw[:]
        del self._raw[: len(piece)]
        if counted:
            self._left -= len(piece)
            if not self._left:
                self._state = _State.CHUNK_END if self._state is _State.CHUNK else _State.END
        if not self._is_events:
            self.body += piece
            return
        self._text += piece
        if b"\r" in self._text:  # the pair may have been cut
            self._text = self._text.replace(b"\r\n", b"\n")
        while (end := self._text.find(b"\n\n")) >= 0:
            if data := _data_of(bytes(self._text[:end])):
                events.append(data)
            del self._text[: end + 2]


def _hexadecimal(line: bytes) -> int:
    try:
        return int(line.partition(b";")[0], 16)
    except ValueError:
        raise BadAnswer(f"a chunk begins with {line[:40]!r}") from None


def _data_of(event: bytes) -> bytes:
    """Return the data of *event*, its lines joined; nothing if it is only comments."""
    lines = (line[5:] for line in event.split(b"\n") if line.startswith(b"data:"))
    return b"\n".join(line.removeprefix(b" ") for line in lines)
