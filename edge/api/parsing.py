"""From what was sent to a typed request, or to a 400 that says what to change."""

from typing import TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails
from starlette.requests import Request

from edge.errors import InvalidField
from shared.errors import BadRequest
from shared.validation import reason

M = TypeVar("M", bound=BaseModel)

MAX_EXPLAINED = 3
"""Mistakes that one answer lists; more would bury the first."""

MAX_BRACKETS = 200_000
"""Opening brackets of one body. Each is an object to the garbage collector: a million of them take seconds,
which are everybody's. Minified JavaScript of 4 MiB has a third as many."""

MAX_SENTENCE = 200
"""Characters of each: some repeat what was sent."""


async def parse_json(request: Request, model: type[M]) -> M:
    """Return the JSON body as *model*.

    Raises:
        BadRequest: the body is not a JSON object, or has too many parts.
        InvalidField: a field is missing or has a wrong value.
    """
    body = await request.body()
    if not body.strip():
        raise BadRequest("The body is empty; send a JSON object", code="invalid_json")
    if body.count(b"[") + body.count(b"{") > MAX_BRACKETS:
        raise BadRequest(f"The body has more than {MAX_BRACKETS} brackets; send several requests")
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        raise _explain(error) from None


def parse_fields(values: dict[str, object], model: type[M]) -> M:
    """Return the fields of a query or form as *model*.

    Raises:
        InvalidField: a field is missing or has a wrong value.
    """
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise _explain(error) from None


def _explain(error: ValidationError) -> BadRequest:
    errors = error.errors(include_url=False, include_context=False, include_input=False)
    first = errors[0]
    if first["type"] == "json_invalid":
        return BadRequest(f"The body is not valid JSON: {_sentence(first)}", code="invalid_json")
    if first["type"] == "model_type" and not first["loc"]:
        return BadRequest("The body must be a JSON object", code="invalid_json")
    lines = [_line(details) for details in errors[:MAX_EXPLAINED]]
    if len(errors) > MAX_EXPLAINED:
        lines.append(f"and {len(errors) - MAX_EXPLAINED} more")
    return InvalidField("; ".join(lines), param=_path(first) or None)


def _line(error: ErrorDetails) -> str:
    path = _path(error)
    return f"{path}: {_sentence(error)}" if path else _sentence(error)


def _path(error: ErrorDetails) -> str:
    return ".".join(str(part) for part in error["loc"] if not _names_a_type(part))


def _names_a_type(part: str | int) -> bool:
    # pydantic puts the member of a union that it tried into the path
    return isinstance(part, str) and (part in {"str", "int"} or "[" in part or part[:1].isupper())


def _sentence(error: ErrorDetails) -> str:
    sentence = reason(error).removeprefix("Invalid JSON: ")
    return sentence if len(sentence) <= MAX_SENTENCE else f"{sentence[:MAX_SENTENCE]}…"
