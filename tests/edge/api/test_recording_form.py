from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

import anyio
import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel
from starlette.datastructures import UploadFile
from starlette.requests import ClientDisconnect, Request
from starlette.types import Message

from edge.api import recording_form as module
from edge.api.recording_form import Sent, parse_recording
from edge.errors import InvalidField
from tests.shared.http.asgi import chunks, scope_of

BOUNDARY = "cut-here"
MULTIPART = f"multipart/form-data; boundary={BOUNDARY}"


class Asked(BaseModel):
    file: bytes
    model: str = "none"
    words: list[str] = []


def part(name: str, content: bytes, *, filename: str | None = None) -> bytes:
    told = f'name="{name}"' + (f'; filename="{filename}"' if filename is not None else "")
    head = f"--{BOUNDARY}\r\nContent-Disposition: form-data; {told}\r\n\r\n"
    return head.encode() + content + b"\r\n"


SOUND = part("file", b"sound", filename="a.wav")
END = f"--{BOUNDARY}--\r\n".encode()


def parse(
    *pieces: bytes,
    content_type: str | None = MULTIPART,
    query: Mapping[str, Any] | None = None,
    complete: bool = True,
) -> Sent[Asked]:
    """Parse a request whose body comes in *pieces*."""
    messages = iter([*chunks(*pieces, complete=complete), {"type": "http.disconnect"}])

    async def receive() -> Message:
        return next(messages)

    headers = [(b"content-type", content_type.encode())] if content_type is not None else []
    scope = scope_of("POST", query=urlencode(query or {}, doseq=True).encode(), headers=headers)
    return anyio.run(parse_recording, Request(scope | {"app": None}, receive), Asked)


def test_fields_may_stand_before_the_file_and_after_it() -> None:
    for body in (
        part("model", b"m") + SOUND + END,
        SOUND + part("model", b"m") + END,
        part("words[]", b"a") + SOUND + part("model", b"m") + part("words[]", b"b") + END,
    ):
        sent = parse(body)
        assert (sent.asked.file, sent.asked.model, sent.filename) == (b"sound", "m", "a.wav")
    assert sent.asked.words == ["a", "b"]


WHOLE = part("model", b"m") + part("file", bytes(range(256)), filename="a.wav") + END


@settings(max_examples=50, deadline=None)
@given(cuts=st.lists(st.integers(0, len(WHOLE)), max_size=6).map(sorted))
def test_it_does_not_matter_where_the_network_cuts_it(cuts: list[int]) -> None:
    pieces = [WHOLE[start:end] for start, end in zip([0, *cuts], [*cuts, len(WHOLE)], strict=True)]
    sent = parse(*pieces)
    assert (sent.asked.file, sent.asked.model) == (bytes(range(256)), "m")


def test_the_query_wins_and_a_field_without_text_is_absent() -> None:
    body = part("model", b"form") + part("words", b"") + SOUND + END
    assert parse(body).asked.model == "form"
    asked = parse(body, query={"model": "query", "words[]": ["a", "b"]}).asked
    assert (asked.model, asked.words) == ("query", ["a", "b"])
    assert parse(body, query={"model": ""}).asked.model == "form"


def test_the_file_is_what_was_uploaded_whatever_the_query_says() -> None:
    assert parse(SOUND + END, query={"file": "text"}).asked.file == b"sound"


@pytest.mark.parametrize(
    ("told", "filename"),
    [
        ("", "audio"),
        ("a" * (module.MAX_FILENAME + 1), "a" * module.MAX_FILENAME),
        ("../Zoë.wav", "../Zoë.wav"),
    ],
)
def test_a_name_is_as_it_was_given_but_not_endless(told: str, filename: str) -> None:
    assert parse(part("file", b"x", filename=told) + END).filename == filename


def test_half_a_character_in_a_name_is_replaced() -> None:
    body = part("file", b"x", filename="+2AA-.wav") + END  # UTF-7 of a lone surrogate
    assert parse(body, content_type=f"{MULTIPART}; charset=utf-7").filename == "?.wav"


def test_as_many_fields_as_there_may_be() -> None:
    fields = [part(f"field{number}", b"x") for number in range(module.MAX_FIELDS)]
    assert parse(*fields, SOUND, END).asked.file == b"sound"
    with pytest.raises(InvalidField, match="Too many fields"):
        parse(*fields, part("model", b"m"), SOUND, END)


@pytest.mark.parametrize(
    ("body", "content_type", "reason"),
    [
        (b"", None, "multipart form"),
        (b"", MULTIPART, "multipart form"),
        (b'{"file": "sound"}', "application/json", "multipart form"),
        (b"sound", "audio/wav", "multipart form"),
        (b"file=sound", "application/x-www-form-urlencoded", "multipart form"),
        (part("file", b"text") + END, MULTIPART, "multipart form"),
        (part("other", b"x", filename="a.wav") + END, MULTIPART, "multipart form"),
        (SOUND + SOUND + END, MULTIPART, "Too many files"),
        (SOUND + part("other", b"x", filename="b.wav") + END, MULTIPART, "Too many files"),
        (part("model", b"x" * (1024 * 1024 + 1)) + SOUND + END, MULTIPART, "maximum size"),
        (SOUND + END, "multipart/form-data", "boundary"),
        (SOUND + END, "multipart/form-data; boundary=another", "."),
        (b"nonsense", MULTIPART, "."),
        (f"--{BOUNDARY}\r\nnonsense\r\n\r\nabc\r\n".encode() + END, MULTIPART, "."),
        (f"--{BOUNDARY}\r\nContent-Type: audio/wav\r\n\r\nabc\r\n".encode() + END, MULTIPART, "name"),
    ],
)
def test_a_form_that_must_change_says_what(body: bytes, content_type: str | None, reason: str) -> None:
    with pytest.raises(InvalidField, match=f"^file: .*{reason}") as raised:
        parse(body, content_type=content_type)
    assert raised.value.param == "file"


# The parser leaves the file of a part that has no end to the collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("missing", range(len("--\r\n") + 1, len(SOUND + END), 7))
def test_a_body_that_was_cut_is_refused(missing: int) -> None:
    with pytest.raises(InvalidField):
        parse((SOUND + END)[:-missing])


def test_a_bad_field_is_named() -> None:
    with pytest.raises(InvalidField) as raised:
        parse(SOUND + END, query={"words": "a"})
    assert raised.value.param == "words"


def test_a_client_who_leaves_in_the_middle_is_no_bad_form() -> None:
    with pytest.raises(ClientDisconnect):
        parse(SOUND, complete=False)


@pytest.mark.parametrize("end", [END, part("words", b"a") + END, SOUND + END])
def test_no_file_stays_open(monkeypatch: pytest.MonkeyPatch, end: bytes) -> None:
    made: list[Any] = []
    init = UploadFile.__init__

    def remember(self: UploadFile, *arguments: Any, **options: Any) -> None:
        init(self, *arguments, **options)
        made.append(self.file)

    monkeypatch.setattr(UploadFile, "__init__", remember)
    big = part("file", bytes(2 * 1024 * 1024), filename="a.wav")
    try:
        parse(big, end)
    except InvalidField:
        assert end != END
    assert made
    assert all(file.closed for file in made)


def test_the_forms_of_clients_are_understood() -> None:
    files = {"file": ("Zoë's.wav", b"sound", "audio/wav")}
    made = httpx.Request("POST", "http://edge", data={"model": "m", "words[]": ["a"]}, files=files)
    sent = parse(made.read(), content_type=made.headers["content-type"])
    assert (sent.asked.model, sent.asked.words, sent.filename) == ("m", ["a"], "Zoë's.wav")
