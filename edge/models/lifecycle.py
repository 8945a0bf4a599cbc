"""Loading and unloading models while the edge serves."""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Literal, Protocol

import anyio
from anyio import to_thread
from anyio.abc import TaskGroup

from edge.errors import InsufficientMemory, LoadFailed, LoadStopped, ModelBusy, StillUnloading
from edge.models.admission import Admission, NotEnoughMemory
from edge.models.catalogue import CatalogueModel
from edge.models.gguf_header import GgufError
from edge.models.memory import Memory, SystemMemory, memory_needed
from edge.models.pull import installed
from edge.models.puller import pull_apart
from edge.models.served import ServedModel, ServedModels
from edge.settings import EdgeSettings
from edge.workers.messages import Load
from edge.workers.process import StartError
from edge.workers.worker import State, Tell, Worker
from shared.errors import Unavailable
from shared.logs import REQUEST_ID

PULLS_AT_ONCE = 2

UNLOADED = "The model was unloaded"
RELOADED = "The model was reloaded"
STOPPED = "This edge is shutting down"

HINT = "`nearedge models list` shows the catalogue; no other model can be loaded"

SHOWN_CHARACTERS = 600
"""How much of the reason of a failed load is told; the log has all of it."""


class Pull(Protocol):
    """Brings the files of a model into *cache*, telling how far it is. Raises StartError."""

    async def __call__(self, model_id: str, cache: Path, tell: Tell, /, *, seconds: float) -> None: ...


class DamagedModel(StartError):
    """A file of the model is not what it says it is."""

    code = "damaged_model"


@dataclass(frozen=True, slots=True)
class Loaded:
    """How a load went within the time that its caller waits: ``loading`` goes on by itself."""

    model: str
    status: Literal["success", "loading"]
    message: str


@dataclass(frozen=True, slots=True)
class UnloadedAll:
    """The models that were unloaded, and a sentence on each one that was not.

    ``late`` if the process of one of those has not ended yet.
    """

    models: tuple[str, ...]
    errors: tuple[str, ...]
    late: bool


@dataclass(eq=False, slots=True)
class _Run:
    """One worker from its start to the end of its process; *after* must have ended before it begins."""

    worker: Worker
    after: "_Run | None"
    scope: anyio.CancelScope = field(default_factory=anyio.CancelScope)
    ended: anyio.Event = field(default_factory=anyio.Event)

    def stop(self, reason: str) -> None:
        """Take no more requests from now on, and have the process end."""
        self.worker.close(reason)
        self.scope.cancel()


class Lifecycle:
    """Starts and stops the workers of *models*; everything in one event loop.

    A model has one run at a time: what is decided about it happens between two awaits, and a new run waits
    for the end of the one before, so there are never two processes of one model. A load is a task of the
    edge, not of its caller: callers join it, leave it, and it goes on. Different models load at once, each
    with its memory promised (:class:`Admission`), two pulls at a time.
    """

    def __init__(
        self,
        models: ServedModels,
        settings: EdgeSettings,
        *,
        memory: Memory | None = None,
        pull: Pull = pull_apart,
    ) -> None:
        self._models = models
        self._settings = settings
        self._memory = memory or SystemMemory()
        self._pull = pull
        self._pulls = anyio.Semaphore(PULLS_AT_ONCE)
        self._admission = Admission(settings.edge_memory_spare_bytes)
        self._runs: dict[str, _Run] = {}
        self._tasks: TaskGroup | None = None

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Load the configured models, serve until the context ends, and then stop every process."""
        async with anyio.create_task_group() as tasks:
            self._tasks = tasks
            for model in self._models.configured:
                self._start(model, persistent=True)
            try:
                yield
            finally:
                self._tasks = None
                for run in self._runs.values():
                    run.stop(STOPPED)

    async def load(self, name: str, *, reload: bool = False, force: bool = False) -> Loaded:
        """Have the model called *name* loaded, fetched first if need be, and wait for it a while.

        *reload* starts the process of a loaded model anew; with requests in flight only if *force*. A load
        under way is joined, and one that waits for its next try is tried now.

        Raises:
            ModelNotFound: the catalogue has no such model.
            ModelBusy: *reload* without *force*, and requests are in flight.
            InsufficientMemory: it needs more memory than is free.
            LoadFailed: its files cannot be had, or it does not come up.
            LoadStopped: it was unloaded meanwhile.
            Unavailable: the edge is shutting down.
        """
        model = self._models.resolve(name, param="model_name", hint=HINT)
        run = self._current(model.id)
        if run is None:
            run = self._start(model, persistent=False)
        elif run.worker.state is State.LOADED and reload:
            _refuse_busy(run.worker, force)
            run.stop(RELOADED)
            run = self._start(model, persistent=True)
        elif run.worker.state is State.LOADED:
            return Loaded(model.id, "success", f"{model.id} is loaded already")
        else:
            run.worker.retry()
        with anyio.move_on_after(self._settings.edge_load_wait_seconds):
            await run.worker.settled()
        return _told(run.worker)

    async def unload(self, name: str, *, force: bool = False) -> str:
        """Unload the model called *name*, or end its load; return its id once its process is gone.

        A model that is not loaded is left as it is. With *force* the requests in flight end in an error.

        Raises:
            ModelNotFound: the catalogue has no such model.
            ModelBusy: requests are in flight, and not *force*.
            StillUnloading: the process has not ended in time; it goes on ending.
        """
        model = self._models.resolve(name, param="model_name", hint=HINT)
        run = self._stop(model.id, force)
        if not await self._ended([run]):
            raise StillUnloading(f"The process of {model.id} has not ended yet", retry_after=5)
        return model.id

    async def unload_all(self, *, force: bool = False) -> UnloadedAll:
        """Unload every model that is served, except those with requests in flight, unless *force*."""
        stopped: dict[str, _Run] = {}
        errors: list[str] = []
        for model_id in self._models.states():
            served = self._current(model_id) is not None
            try:
                run = self._stop(model_id, force)
            except ModelBusy as error:
                errors.append(error.detail)
            else:
                if served and run is not None:
                    stopped[model_id] = run
        await self._ended(stopped.values())
        late = [model_id for model_id, run in stopped.items() if not run.ended.is_set()]
        errors += [f"The process of {model_id} has not ended yet" for model_id in late]
        return UnloadedAll(tuple(name for name in stopped if name not in late), tuple(errors), bool(late))

    def _current(self, model_id: str) -> _Run | None:
        run = self._runs.get(model_id)
        return run if run is not None and run.worker.active else None

    def _stop(self, model_id: str, force: bool) -> _Run | None:
        """Have the process of a model end; return the run to wait for, if there is any."""
        run = self._runs.get(model_id)
        if run is not None and run.worker.active:
            _refuse_busy(run.worker, force)
            run.stop(UNLOADED)
        elif (served := self._models.get(model_id)) is not None:
            served.worker.close(UNLOADED)  # it may have failed
        return run

    async def _ended(self, runs: Iterable[_Run | None]) -> bool:
        """Wait for the end of *runs*, as long as a load's caller would."""
        with anyio.move_on_after(self._settings.edge_load_wait_seconds):
            for run in runs:
                if run is not None:
                    await run.ended.wait()
            return True
        return False

    def _start(self, model: CatalogueModel, *, persistent: bool) -> _Run:
        if self._tasks is None:
            raise Unavailable(STOPPED, code="shutting_down")
        settings = self._settings
        worker = Worker(
            model.id,
            partial(self._prepare, model),
            queue_limit=settings.edge_queue,
            start_seconds=settings.edge_worker_start_seconds,
            persistent=persistent,
        )
        run = _Run(worker, self._runs.get(model.id))
        self._runs[model.id] = run
        self._models.put(ServedModel(model, worker))
        self._tasks.start_soon(self._serve, model.id, run)
        return run

    async def _serve(self, model_id: str, run: _Run) -> None:
        REQUEST_ID.set(None)  # the id of the request that asked for the load
        try:
            if run.after is not None:
                with anyio.CancelScope(shield=True):
                    await run.after.ended.wait()
                run.after = None
            with run.scope:
                await run.worker.run()
        finally:
            if self._runs.get(model_id) is run:
                del self._runs[model_id]
            run.ended.set()

    async def _prepare(self, model: CatalogueModel, tell: Tell) -> Load:
        """Fetch and check the files of *model*, see that there is memory for it, and return its order."""
        settings = self._settings
        if not await to_thread.run_sync(installed, model, settings.cache):
            tell("waiting for other models to be fetched")
            async with self._pulls:
                tell("fetching")
                await self._pull(model.id, settings.cache, tell, seconds=settings.edge_pull_seconds)
        tell("checking files and memory")
        pids = [pid for served in self._models if (pid := served.worker.pid) is not None]
        try:
            order = await to_thread.run_sync(self._models.order, model)
            files = {role: Path(path) for role, path in order.files.items()}
            need = await to_thread.run_sync(memory_needed, model.engine, files, order.options)
        except (GgufError, OSError) as error:
            raise DamagedModel(f"{error}; `nearedge models verify {model.id}` looks for damage") from error
        free = await to_thread.run_sync(self._memory.free_bytes, pids)
        self._admission.admit(model.id, need, free, self._models.states())
        return order


def _refuse_busy(worker: Worker, force: bool) -> None:
    count = worker.in_flight
    if count and not force:
        many = f"{count} requests" if count > 1 else "a request"
        raise ModelBusy(
            f"{worker.name} has {many} in flight; try again when they are done, or end them with force: true"
        )


def _told(worker: Worker) -> Loaded:
    if worker.state is State.LOADED:
        return Loaded(worker.name, "success", f"{worker.name} is loaded")
    if worker.state is State.LOADING:
        message = f"{worker.name} is loading ({worker.progress}); the same call again waits for it"
        return Loaded(worker.name, "loading", message)
    failure = worker.failure
    if failure is None:
        raise LoadStopped(f"{worker.name} was unloaded while it was loading")
    again = "; it is tried again by itself" if worker.active else ""
    message = f"{worker.name} did not load: {failure.message[:SHOWN_CHARACTERS]}{again}"
    if failure.code == NotEnoughMemory.code:
        raise InsufficientMemory(message, retry_after=10)
    raise LoadFailed(message, code=failure.code)
