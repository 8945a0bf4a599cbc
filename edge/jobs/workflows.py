"""Work that survives this process: DBOS on a SQLite file."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar

import anyio.to_thread

WAITING = ("PENDING", "ENQUEUED", "DELAYED")
"""The states of a workflow that has not ended."""

VERSION = "1"
"""Of what is stored: only workflows of the same version are taken up again. DBOS would make one of the code's
text, and every release would leave the jobs of the one before behind."""

MAX_STARTS = 20
"""How often a workflow is begun again before it is given up: one that takes the process with it must end."""

STOP_SECONDS = 15.0

Run = Callable[[str, dict[str, Any]], Awaitable[dict[str, Any]]]
"""Does the work of a workflow: takes its id and its order and returns its result; plain data all of them."""


@dataclass(frozen=True, slots=True)
class Record:
    """What is stored of a workflow; times in seconds since 1970. ``state`` is DBOS's word."""

    id: str
    owner: str | None
    state: str
    order: dict[str, Any]
    result: dict[str, Any] | None
    error: BaseException | None
    created_at: float
    updated_at: float
    ended_at: float | None


class Workflows:
    """Workflows of one name in one file, run in this event loop by *run* from the moment they begin.

    *ended* is called with the id of each once its end is stored. Those that the last process left unended are
    begun again. DBOS is one to a process, so only one of these may be started at a time.
    """

    _started: ClassVar[bool] = False

    def __init__(
        self, file: Path, *, name: str, executor: str, run: Run, ended: Callable[[str], None]
    ) -> None:
        self._file = file
        self._name = name
        self._executor = executor
        self._run = run
        self._ended = ended
        self._stopping = False
        self._tasks: dict[str, asyncio.Task[Any]] = {}
        self._workflow: Any = None

    @property
    def exist(self) -> bool:
        """Whether any workflow was ever begun."""
        return self._file.exists()

    async def start(self) -> None:
        """Open the file, made if need be, and begin anew what has not ended.

        Raises:
            RuntimeError: another one is started in this process.
        """
        if Workflows._started:
            raise RuntimeError("jobs run already in this process")
        Workflows._started = True
        try:
            await anyio.to_thread.run_sync(self._prepare)
            self._launch()
        except BaseException:
            Workflows._started = False
            raise

    def _prepare(self) -> None:
        """What takes long and needs no event loop: the import, and the tables."""
        # DBOS writes to stderr by itself, in a form of its own, unless somebody has a handler there.
        logging.getLogger("dbos").addHandler(logging.NullHandler())
        logging.getLogger("dbos").setLevel(logging.WARNING)
        from dbos import run_dbos_database_migrations

        self._file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._file.touch(mode=0o600)
        run_dbos_database_migrations(self._url)

    @property
    def _url(self) -> str:
        return f"sqlite:///{self._file}"

    def _launch(self) -> None:
        from dbos import DBOS

        DBOS(
            config={
                "name": "nearedge",
                "system_database_url": self._url,
                "application_version": VERSION,
                "executor_id": self._executor,
                "log_level": "WARNING",
                "run_migrations": False,
            }
        )
        logging.getLogger("dbos").addFilter(_is_no_ordinary_end)

        async def workflow(order: dict[str, Any]) -> dict[str, Any]:
            workflow_id = DBOS.workflow_id
            task = asyncio.current_task()
            assert workflow_id is not None
            assert task is not None
            self._tasks[workflow_id] = task
            # DBOS stores the end in the same task, after this has returned.
            task.add_done_callback(lambda _: self._note_end(workflow_id))
            return await self._run(workflow_id, order)

        register = DBOS.workflow(name=self._name, max_recovery_attempts=MAX_STARTS)
        self._workflow = register(workflow)
        DBOS.launch()

    def _note_end(self, workflow_id: str) -> None:
        del self._tasks[workflow_id]
        if not self._stopping:
            self._ended(workflow_id)

    async def stop(self) -> None:
        """Stop what runs, so that the next process begins it again."""
        from dbos import DBOS

        self._stopping = True
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=STOP_SECONDS)
        await anyio.to_thread.run_sync(lambda: DBOS.destroy(destroy_registry=True))
        # It had put its own threads in place of the loop's, and they are gone.
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor())
        Workflows._started = False

    async def begin(self, workflow_id: str, owner: str, order: dict[str, Any]) -> None:
        """Store a workflow and begin it."""
        from dbos import DBOS, DBOSContextSetAuth, SetWorkflowID

        with SetWorkflowID(workflow_id), DBOSContextSetAuth(owner, None):
            await DBOS.start_workflow_async(self._workflow, order)

    async def find(self, workflow_id: str) -> Record | None:
        found = await self._list(workflow_ids=[workflow_id])
        return found[0] if found else None

    async def of_owner(self, owner: str, *, limit: int, offset: int) -> list[Record]:
        """Return an owner's workflows without their results, the latest first."""
        found = await self._list(user=owner, limit=limit, offset=offset, sort_desc=True, load_output=False)
        failed = [record.id for record in found if record.state == "ERROR"]
        errors = {record.id: record for record in await self._list(workflow_ids=failed)} if failed else {}
        return [errors.get(record.id, record) for record in found]

    async def waiting(self) -> list[Record]:
        """Return every workflow that has not ended."""
        return await self._list(status=list(WAITING))

    async def ended_before(self, time: float, *, limit: int) -> list[str]:
        """Return the ids of workflows that ended before *time*, in seconds since 1970."""
        cutoff = datetime.fromtimestamp(time, UTC).isoformat()
        found = await self._list(completed_before=cutoff, limit=limit, load_input=False, load_output=False)
        return [record.id for record in found]

    async def cancel(self, workflow_id: str) -> None:
        """End a workflow that has not ended; it is never begun again."""
        from dbos import DBOS

        await DBOS.cancel_workflow_async(workflow_id)
        task = self._tasks.get(workflow_id)
        if task is not None:
            task.cancel()

    async def forget(self, workflow_ids: Sequence[str]) -> None:
        """Remove all that is stored of workflows that have ended."""
        from dbos import DBOS

        await DBOS.delete_workflows_async(list(workflow_ids))

    async def _list(self, **filters: Any) -> list[Record]:
        from dbos import DBOS

        return [_record(status) for status in await DBOS.list_workflows_async(name=self._name, **filters)]


def _record(status: Any) -> Record:
    return Record(
        id=status.workflow_id,
        owner=status.authenticated_user,
        state=status.status,
        order=status.input["args"][0] if status.input else {},
        result=status.output,
        error=status.error,
        created_at=status.created_at / 1000,
        updated_at=status.updated_at / 1000,
        ended_at=None if status.completed_at is None else status.completed_at / 1000,
    )


def _is_no_ordinary_end(record: logging.LogRecord) -> bool:
    """Keep out of the log what DBOS calls an error: a job that failed and says why, or was stopped."""
    from edge.jobs.job import JobFailed

    if record.exc_info and isinstance(record.exc_info[1], JobFailed):
        return False
    return not str(record.msg).startswith("Asyncio task cancelled")
