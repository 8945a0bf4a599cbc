"""The worker process: ``python -m edge.workers.child FD``.

It speaks the protocol of ``edge.workers.messages`` on the Unix socket that it inherits as file
descriptor FD, loads the one model that it is told to, and ends when the socket closes.
"""

import os
import queue
import signal
import socket
import sys
import threading
from importlib import import_module
from pathlib import Path

import structlog

from edge.engines.base import Cancelled, Engine, InvalidRequest, Job, Loader
from edge.workers.messages import (
    Cancel,
    Decoder,
    Emit,
    Event,
    Failed,
    Finished,
    Load,
    LoadFailed,
    Message,
    Ping,
    Pong,
    Ready,
    Submit,
    encode,
)
from shared import logs

log = structlog.get_logger(__name__)

SPIN_COUNT = 20_000
"""How often an OpenMP thread looks for work before it sleeps. With libgomp's 300,000 a single busy neighbour
slowed two llama.cpp threads on two cores from 138 to 5 tokens/s; with 1,000 the threads sleep between the
parts of a step, which costs a fifth to three quarters of the speed, by processor."""

_RECEIVE_BYTES = 256 * 1024


class _Outbox:
    """Writes messages to the gateway from a thread of its own, so that no engine waits for a socket.

    Messages that gathered while the last ones were being written leave in one call.
    """

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._messages: queue.SimpleQueue[Message | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._write, name="outbox", daemon=True)
        self._thread.start()

    def put(self, message: Message) -> None:
        self._messages.put(message)

    def close(self) -> None:
        """Write what is left."""
        self._messages.put(None)
        self._thread.join(timeout=5)

    def _write(self) -> None:
        closing = False
        while not closing:
            frames = bytearray()
            message = self._messages.get()
            while True:
                if message is None:
                    closing = True
                    break
                frames += encode(message)
                try:
                    message = self._messages.get_nowait()
                except queue.Empty:
                    break
            try:
                self._connection.sendall(frames)
            except OSError:
                os._exit(0)  # the gateway is gone, and with it everyone who waits for an answer


class _Worker:
    def __init__(self, engine: Engine, outbox: _Outbox) -> None:
        self._engine = engine
        self._outbox = outbox
        self._jobs: dict[int, Job] = {}

    def handle(self, message: Message) -> None:
        if isinstance(message, Submit):
            self._submit(message)
        elif isinstance(message, Cancel):
            job = self._jobs.get(message.id)
            if job is not None:
                job.cancel()
        elif isinstance(message, Ping):
            self._outbox.put(Pong(message.sequence))

    def _submit(self, message: Submit) -> None:
        def emit(event: Event) -> None:
            self._outbox.put(Emit(message.id, event))

        def done(error: BaseException | None) -> None:
            self._jobs.pop(message.id, None)
            self._outbox.put(_ending(message.id, error))

        job = Job(message.request, emit, done)
        self._jobs[message.id] = job
        self._engine.submit(job)


def _ending(request_id: int, error: BaseException | None) -> Finished | Failed:
    if error is None or isinstance(error, Cancelled):
        return Finished(request_id)
    if isinstance(error, InvalidRequest):
        return Failed(request_id, str(error), invalid=True, param=error.param)
    log.error("the engine failed", exc_info=error)
    return Failed(request_id, f"The engine failed ({type(error).__name__})")


def _load(order: Load) -> Engine:
    logs.configure(order.log_level, order.log_format)
    os.nice(order.nice)  # of this thread, and so of every one that the engine starts
    loader: Loader = import_module(order.engine).load
    return loader({role: Path(path) for role, path in order.files.items()}, order.options)


def serve(connection: socket.socket) -> None:
    """Serve the gateway at the other end of *connection* until it closes."""
    outbox = _Outbox(connection)
    decoder = Decoder()
    worker: _Worker | None = None
    while data := connection.recv(_RECEIVE_BYTES):
        for message in decoder.feed(data):
            if worker is not None:
                worker.handle(message)
            elif isinstance(message, Load):
                try:
                    engine = _load(message)
                except Exception as error:
                    log.exception("the model does not load")
                    outbox.put(LoadFailed(f"{type(error).__name__}: {error}"))
                    outbox.close()
                    return
                worker = _Worker(engine, outbox)
                outbox.put(Ready(engine.info))


def main() -> None:
    os.environ.setdefault("GOMP_SPINCOUNT", str(SPIN_COUNT))  # libgomp reads it when an engine loads it
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the gateway decides
    connection = socket.socket(fileno=int(sys.argv[1]))
    serve(connection)
    # Native libraries keep threads that an ordered interpreter exit may wait for.
    sys.stderr.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
