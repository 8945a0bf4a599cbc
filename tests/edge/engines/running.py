"""Runs one job through an engine and returns what came of it."""

import threading

from edge.engines.base import Engine, Job
from edge.workers.messages import Event, Request

JOB_SECONDS = 100


class JobEnd:
    """A job that was submitted; :meth:`wait` for its end."""

    def __init__(self, engine: Engine, request: Request) -> None:
        self.events: list[Event] = []
        self.error: BaseException | None = None
        self._ended = threading.Event()

        def done(error: BaseException | None) -> None:
            self.error = error
            self._ended.set()

        self.job = Job(request, self.events.append, done)
        engine.submit(self.job)

    def wait(self) -> list[Event]:
        """Return the job's events; raises what ended it."""
        assert self._ended.wait(JOB_SECONDS), "the job did not end"
        if self.error is not None:
            raise self.error
        return self.events


def run(engine: Engine, request: Request) -> list[Event]:
    return JobEnd(engine, request).wait()
