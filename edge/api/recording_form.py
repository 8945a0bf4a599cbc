"""Multipart forms that carry a recording."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

from pydantic import BaseModel
from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import Request

from edge.api.parsing import parse_fields
from edge.errors import InvalidField

M = TypeVar("M", bound=BaseModel)

MAX_FIELDS = 32
MAX_FILENAME = 200


@dataclass(frozen=True, slots=True)
class Sent(Generic[M]):
    """What was asked for, and the file's name as the client gave it."""

    asked: M
    filename: str


async def parse_recording(request: Request, model: type[M]) -> Sent[M]:
    """Return the form of *request* as *model*; what the query says too, wins.

    A name that ends in ``[]`` is that of a list, as OpenAI's clients send it. A field without text is as
    good as absent.

    Raises:
        InvalidField: there is no recording, or a field has a wrong value.
    """
    try:
        async with request.form(max_files=1, max_fields=MAX_FIELDS) as form:
            upload = _upload(form)
            fields = _fields(form.multi_items()) | _fields(request.query_params.multi_items())
            asked = parse_fields(fields | {"file": await upload.read()}, model)
            # In some encodings that a form may name, a name can hold half a character, which no JSON can.
            name = (upload.filename or "audio").encode("utf-8", "replace").decode("utf-8")
            return Sent(asked, name[:MAX_FILENAME])
    except HTTPException as error:
        raise InvalidField(f"file: {error.detail}", param="file") from None


def _upload(form: FormData) -> UploadFile:
    upload = form.get("file")
    if not isinstance(upload, UploadFile):
        raise InvalidField("file: send the recording as the file of a multipart form", param="file")
    return upload


def _fields(items: Iterable[tuple[str, object]]) -> dict[str, object]:
    fields: dict[str, object] = {}
    lists: dict[str, list[str]] = {}
    for name, value in items:
        if not isinstance(value, str) or not value:
            continue
        if name.endswith("[]"):
            lists.setdefault(name.removesuffix("[]"), []).append(value)
        else:
            fields[name] = value
    return fields | lists
