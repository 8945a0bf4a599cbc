"""A connection to a server that can be cut."""

import select
import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from threading import Event, Thread


class Cable:
    """Passes bytes on between a local port and a server until it is cut."""

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._cut = Event()
        self._threads: list[Thread] = []
        self.port: int = self._listener.getsockname()[1]

    def cut(self) -> None:
        """End every connection, and take no new one."""
        self._cut.set()
        for thread in self._threads:
            thread.join(5)
        self._listener.close()

    def carry(self) -> None:
        """Begin to take connections."""
        self._start(self._accept)

    def _start(self, run: object, *arguments: object) -> None:
        thread = Thread(target=run, args=arguments, daemon=True)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while not self._cut.is_set():
            if not select.select([self._listener], [], [], 0.05)[0]:
                continue
            near, _ = self._listener.accept()
            self._start(self._pass_on, near, socket.create_connection(self._target))

    def _pass_on(self, near: socket.socket, far: socket.socket) -> None:
        others = {near: far, far: near}
        with closing(near), closing(far), suppress(OSError):
            while not self._cut.is_set():
                for ready in select.select([near, far], [], [], 0.05)[0]:
                    content = ready.recv(65536)
                    if not content:
                        return
                    others[ready].sendall(content)


@contextmanager
def cable(host: str, port: int) -> Iterator[Cable]:
    made = Cable(host, port)
    made.carry()
    try:
        yield made
    finally:
        made.cut()
