import io
import json
import logging
import secrets
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import jwt
import pytest
import structlog

from shared import logs


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    yield
    root.handlers = handlers
    root.setLevel(level)
    structlog.reset_defaults()


@pytest.mark.parametrize("style", ["json", "console"])
@pytest.mark.parametrize("logger", ["structlog", "standard"])
def test_traceback_shows_where_but_no_local_variable(
    capsys: pytest.CaptureFixture[str], style: Literal["json", "console"], logger: str
) -> None:
    logs.configure("info", style)

    def fail() -> None:
        authorization = "pg_" + "secret"
        raise ValueError(f"no use for {len(authorization)} characters")

    try:
        fail()
    except ValueError:
        if logger == "structlog":
            structlog.get_logger().exception("failed")
        else:
            logging.getLogger("library").exception("failed")
    sys.stderr.flush()
    written = capsys.readouterr().err
    assert "no use for 9 characters" in written
    assert "test_logs.py" in written
    assert "pg_secret" not in written


def write_to(style: Literal["auto", "json", "console"], level: str = "info") -> io.StringIO:
    logs.configure(level, style)
    (handler,) = logging.getLogger().handlers
    assert isinstance(handler, logging.StreamHandler)
    written = io.StringIO()
    handler.setStream(written)
    return written


@contextmanager
def within_request(request_id: str) -> Iterator[None]:
    token = logs.REQUEST_ID.set(request_id)
    yield
    logs.REQUEST_ID.reset(token)


@pytest.mark.parametrize("style", ["json", "auto"])
def test_machines_get_one_object_per_line_from_every_logger(style: Literal["json", "auto"]) -> None:
    written = write_to(style)  # no terminal is there
    with within_request("req_1"):
        structlog.get_logger("ours").warning("two\nlines", count=1)
        logging.getLogger("theirs").info("took %s", "a while", extra={"ms": 3})
    ours, theirs = (json.loads(line) for line in written.getvalue().splitlines())
    for line, expected in (
        (ours, {"event": "two\nlines", "level": "warning", "logger": "ours", "count": 1}),
        (theirs, {"event": "took a while", "level": "info", "logger": "theirs", "ms": 3}),
    ):
        assert line.pop("timestamp").endswith("Z")
        assert line == expected | {"request_id": "req_1"}


def test_people_get_text() -> None:
    written = write_to("console")
    structlog.get_logger("ours").info("ready", port=8080)
    assert "ready" in written.getvalue()
    assert "port=8080" in written.getvalue()
    assert not written.getvalue().startswith("{")


@pytest.mark.parametrize(("level", "count"), [("debug", 4), ("info", 3), ("warning", 2), ("error", 1)])
def test_level_is_the_least_that_is_written(level: str, count: int) -> None:
    written = write_to("json", level)
    log = structlog.get_logger("ours")
    for severity in ("debug", "info", "warning", "error"):
        getattr(log, severity)("it")
    assert len(written.getvalue().splitlines()) == count


def test_libraries_that_tell_of_every_request_are_held_back() -> None:
    written = write_to("json", "debug")
    logging.getLogger("httpx").info("HTTP Request: GET http://127.0.0.1/?key=words")
    assert written.getvalue() == ""


@pytest.mark.parametrize("style", ["json", "console"])
def test_key_is_blotted_out_wherever_it_stands(style: Literal["json", "console"]) -> None:
    written = write_to(style)
    key = "pg_" + secrets.token_urlsafe(32)
    sentence = f"a key: {key}!"
    log = structlog.get_logger("ours")
    with within_request(key):
        log.info(sentence, key=key, nested={"list": [key]}, raw=key.encode())
        logging.getLogger("theirs").warning("%s", key, extra={"authorization": f"Bearer {key}"})
        try:
            raise ValueError(key)
        except ValueError:
            log.exception("failed")
    assert key not in written.getvalue()
    assert key[3:] not in written.getvalue()
    assert written.getvalue().count("pg_***") >= 8


@pytest.mark.parametrize("style", ["json", "console"])
def test_session_token_is_blotted_out_wherever_it_stands(style: Literal["json", "console"]) -> None:
    written = write_to(style)
    token = jwt.encode({"sub": "somebody"}, "s" * 32, "HS256")
    structlog.get_logger("ours").info(f"a token: {token}!", nested=[token])
    logs.write_line(logging.getLogger("access"), logging.INFO, "request", path=f"/{token}")
    for part in token.split(".")[1:]:
        assert part not in written.getvalue()
    assert written.getvalue().count("eyJ***") == 3


def test_words_that_only_look_like_a_key_stay() -> None:
    written = write_to("json")
    structlog.get_logger("ours").info("pg_dump and pg_metadata and eyJust.a.name")
    assert "pg_dump and pg_metadata and eyJust.a.name" in written.getvalue()


@pytest.mark.parametrize("style", ["json", "console"])
def test_line_of_every_request_reads_like_any_other(style: Literal["json", "console"]) -> None:
    written = write_to(style)
    logger, key = logging.getLogger("access"), "pg_" + secrets.token_urlsafe(32)
    with within_request("req_1"):
        logs.write_line(logger, logging.INFO, "request", path=f"/{key}", status=200)
        structlog.get_logger("access").info("request", path=f"/{key}", status=200)
    swift, usual = written.getvalue().splitlines()
    assert "pg_***" in swift
    if style == "json":
        lines = json.loads(swift), json.loads(usual)
        for line in lines:
            assert line.pop("timestamp").endswith("Z")
        assert lines[0] == lines[1]
    else:
        assert swift.split()[1:] == usual.split()[1:]


def test_line_below_the_level_is_not_written() -> None:
    written = write_to("json", "warning")
    logs.write_line(logging.getLogger("access"), logging.INFO, "request")
    assert written.getvalue() == ""


def test_line_reads_well_to_other_handlers(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO", "access"):
        logs.write_line(logging.getLogger("access"), logging.INFO, "request", status=200)
    assert "'status': 200" in caplog.text
