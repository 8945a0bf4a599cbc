"""Log lines of every process: one format, on stderr, for people or for machines."""

import logging
import re
import sys
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any, Literal

import orjson
import structlog
from structlog.tracebacks import ExceptionDictTransformer
from structlog.typing import EventDict, Processor, WrappedLogger

REQUEST_ID: ContextVar[str | None] = ContextVar("request_id", default=None)
"""The id of the request that is being answered: every log line within it tells it.

A variable of our own: structlog's take a copy of the whole context for each line.
"""

_KEY_PREFIX = "pg_"
_KEY = re.compile(_KEY_PREFIX + r"[A-Za-z0-9_-]{16,}")
_SESSION_PREFIX = "eyJ"
_SESSION = re.compile(_SESSION_PREFIX + r"[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*")


class Line(logging.LogRecord):
    """A finished line of plain values, for what is told of every request.

    It says what structlog's loggers would say, without what they do for lines of every kind, which takes
    about as long as answering a small request.
    """

    def __init__(self, logger: logging.Logger, level: int, event: str, fields: dict[str, Any]) -> None:
        severity = logging.getLevelName(level)
        request_id = REQUEST_ID.get()
        self.fields = {
            **fields,
            "event": event,
            **({} if request_id is None else {"request_id": request_id}),
            "level": severity.lower(),
            "logger": logger.name,
            "timestamp": datetime.now(UTC).isoformat().replace("+00:00", "Z"),
        }
        super().__init__(logger.name, level, "", 0, self.fields, (), None)
        # The two by which structlog's formatter knows a record whose message is fields.
        self._logger, self._name = logger, severity.lower()


def write_line(logger: logging.Logger, level: int, event: str, **fields: Any) -> None:
    """Log *event* with *fields* of plain values, if *logger* writes lines of that *level*."""
    if logger.isEnabledFor(level):
        logger.handle(Line(logger, level, event, fields))


class _WithoutKeys(structlog.stdlib.ProcessorFormatter):
    """Blots out every API key and session token, wherever in a line: in a path, an exception's text."""

    def __init__(self, *args: Any, as_json: bool, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._as_json = as_json

    def format(self, record: logging.LogRecord) -> str:
        if isinstance(record, Line) and self._as_json:
            text = orjson.dumps(record.fields).decode()
        else:
            text = super().format(record)
        if _KEY_PREFIX in text:
            text = _KEY.sub("pg_***", text)
        return _SESSION.sub("eyJ***", text) if _SESSION_PREFIX in text else text


def _add_request_id(_logger: WrappedLogger, _name: str, event: EventDict) -> EventDict:
    request_id = REQUEST_ID.get()
    if request_id is not None:
        event.setdefault("request_id", request_id)
    return event


def configure(level: str, style: Literal["auto", "console", "json"]) -> None:
    """Send the log lines of structlog and of the standard library through one renderer to stderr.

    ``auto`` writes for people where stderr is a terminal and JSON elsewhere. Tracebacks leave local
    variables out: they hold keys and people's words.
    """
    as_json = style == "json" or (style == "auto" and not sys.stderr.isatty())
    common: list[Processor] = [
        _add_request_id,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    rendering: list[Processor] = (
        [
            structlog.processors.ExceptionRenderer(ExceptionDictTransformer(show_locals=False)),
            structlog.processors.JSONRenderer(),
        ]
        if as_json
        else [
            structlog.dev.ConsoleRenderer(
                colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
            )
        ]
    )
    structlog.configure(
        processors=[*common, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        _WithoutKeys(
            as_json=as_json,
            foreign_pre_chain=[*common, structlog.stdlib.ExtraAdder()],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *rendering],
        )
    )
    # No line tells these, and finding them out takes as long as writing one.
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level.upper())
    for chatty in ("httpx", "httpcore", "hpack", "aiosqlite", "hypercorn.access", "alembic"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
