"""Log lines of every process: one format, on stderr, for people or for machines."""

import logging
import re
import sys
from typing import Literal

import structlog
from structlog.tracebacks import ExceptionDictTransformer
from structlog.typing import Processor

_KEY = re.compile(r"pg_[A-Za-z0-9_-]{16,}")


class _WithoutKeys(structlog.stdlib.ProcessorFormatter):
    """Blots out every API key, wherever in a line it stands: a path, a request id, an exception's text."""

    def format(self, record: logging.LogRecord) -> str:
        return _KEY.sub("pg_***", super().format(record))


def configure(level: str, style: Literal["auto", "console", "json"]) -> None:
    """Send the log lines of structlog and of the standard library through one renderer to stderr.

    ``auto`` writes for people where stderr is a terminal and JSON elsewhere. Tracebacks leave local
    variables out: they hold keys and people's words.
    """
    as_json = style == "json" or (style == "auto" and not sys.stderr.isatty())
    common: list[Processor] = [
        structlog.contextvars.merge_contextvars,
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
            foreign_pre_chain=[*common, structlog.stdlib.ExtraAdder()],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *rendering],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level.upper())
    for chatty in ("httpx", "httpcore", "hpack", "aiosqlite", "hypercorn.access"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
