"""The OpenAPI document of an edge, made from the types that validate and answer its requests."""

import re
from collections.abc import Iterable
from importlib.metadata import version
from typing import Any, Literal

from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode

from edge.accounts import Scope
from edge.api.identity import LONGEST_KEY
from edge.api.operation import Access, Operation
from edge.api.responses import ErrorBody

_PARAMETER = re.compile(r"{(\w+)(?::\w+)?}")
_REF = "#/components/schemas/{model}"
_Key = tuple[str, Literal["body", "query", "form", "response", "accepted", "event", "refusal", "error"]]

KEY_ERRORS = {
    "401": "No key, or not a valid one",
    "503": "No capacity now; `Retry-After` says when to try again",
}
LIMIT_ERRORS = {
    "429": "More than the key, its tenant or the address may ask for; `Retry-After` says when to try again"
}
REPEAT_ERRORS = {
    "409": "The first request with this `Idempotency-Key` is not answered yet, or its answer is not kept",
    "422": "The `Idempotency-Key` was used for another request",
}
SCOPE_ERRORS = {"403": "The key may not do this, not here, or not with this model"}
PATH_ERRORS = {"404": "There is nothing of that name here"}
BODY_ERRORS = {
    "400": "The request must change; `detail` says how",
    "408": "The body did not arrive in time",
    "413": "The body is larger than the limit",
}
INFERENCE_ERRORS = {"404": "No model of that name is served here", "502": "The model failed"}

HEADERS = {
    "X-Request-ID": "The request's id: the one that was sent, or a new one",
    "X-Provocapi-Model": "Id of the model that answers",
    "X-Provocapi-Worker": "Region of the edge that answers",
    "X-Provocapi-Queue-Ms": "Milliseconds in the model's queue; not on streams",
    "X-Pg-Inference-Ms": "Milliseconds that the model took; not on streams",
    "X-Pg-First-Byte-Ms": "Milliseconds to the first byte; only on streams",
    "X-Pg-Characters": "Characters that were spoken, as they are billed; not on streams",
    "X-Pg-Audio-Seconds": "Seconds of sound, spoken or heard, as they are billed; not on streams",
    "X-RateLimit-Limit": "Requests that may be sent in a minute",
    "X-RateLimit-Remaining": "How many of them are left in this one",
    "X-RateLimit-Reset": "When the next begins, in Unix seconds",
    "Idempotent-Replayed": "`true` where the answer is that of an earlier request, which was the same",
    "Retry-After": "Seconds to wait before the next try",
}


def build(operations: Iterable[Operation]) -> dict[str, Any]:
    """Return the OpenAPI 3.1 document of *operations*, without those between the services of a grid."""
    operations = tuple(item for item in operations if item.access is not Access.INTERNAL)
    inputs: list[tuple[_Key, JsonSchemaMode, TypeAdapter[Any]]] = [
        (("", "error"), "serialization", TypeAdapter(ErrorBody))
    ]
    for operation in operations:
        for part in ("body", "query", "form", "response", "accepted", "event", "refusal"):
            declared = getattr(operation, part)
            if declared is not None:
                sent = part in {"response", "accepted", "event", "refusal"}
                mode: JsonSchemaMode = "serialization" if sent else "validation"
                inputs.append(((operation.key, part), mode, TypeAdapter(declared)))
    schemas, definitions = GenerateJsonSchema(ref_template=_REF).generate_definitions(
        [(key, mode, adapter.core_schema) for key, mode, adapter in inputs]
    )
    named = {key: schema for (key, _mode), schema in schemas.items()}
    document: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {
            "title": "Nearedge edge",
            "version": version("nearedge"),
            "description": "OpenAI-compatible text, embeddings and speech, served on this machine.",
        },
        "paths": {},
        "components": {
            "schemas": definitions,
            "headers": {name: _header(name, meaning) for name, meaning in HEADERS.items()},
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer", "description": "A `pg_…` key"}},
        },
    }
    for operation in operations:
        path = _PARAMETER.sub(r"{\1}", operation.path)
        document["paths"].setdefault(path, {})[operation.method.lower()] = _describe(operation, named)
    return document


def _describe(operation: Operation, schemas: dict[Any, Any]) -> dict[str, Any]:
    described: dict[str, Any] = {
        "operationId": operation.handler.__name__,
        "summary": operation.summary,
        "tags": [operation.tag],
        "parameters": [
            {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
            for name in _PARAMETER.findall(operation.path)
        ]
        + _query(operation)
        + _idempotency(operation),
        "responses": {
            str(operation.status): {
                "description": "Done",
                "headers": _refer("X-Request-ID", *operation.headers, *_common_headers(operation)),
                "content": _contents(operation, schemas),
            }
        },
    }
    if doc := (operation.handler.__doc__ or "").strip():
        described["description"] = re.sub(r"\n +", "\n", doc)
    if operation.accepted is not None:
        described["responses"]["202"] = {
            "description": "The work goes on in the background",
            "headers": _refer("X-Request-ID"),
            "content": {"application/json": {"schema": schemas[operation.key, "accepted"]}},
        }
    body = _body(operation, schemas)
    if body:
        described["requestBody"] = {"required": operation.body_required, "content": body}
    if operation.access is not Access.OPEN:
        described["security"] = [{"key": []}]
        described["description"] += f"\n\n{_needs(operation.scopes)}"
        described["responses"] |= {
            status: {
                "description": meaning,
                "headers": _refer("X-Request-ID", *_error_headers(operation, status)),
                "content": {"application/json": {"schema": _error_body(operation, status, schemas)}},
            }
            for status, meaning in sorted(_errors(operation).items())
        }
    return described


def _needs(scopes: frozenset[Scope]) -> str:
    return f"Needs a key with the scope {' or '.join(f'`{scope}`' for scope in sorted(scopes))}."


def _errors(operation: Operation) -> dict[str, str]:
    errors = KEY_ERRORS | SCOPE_ERRORS | LIMIT_ERRORS
    if operation.method == "POST":
        errors |= REPEAT_ERRORS
    if operation.body or operation.form:
        errors |= BODY_ERRORS
        if Scope.INFERENCE in operation.scopes:
            errors |= INFERENCE_ERRORS
    elif operation.query:
        errors |= {"400": BODY_ERRORS["400"]}
    if _PARAMETER.search(operation.path):
        errors |= PATH_ERRORS
    own = dict(operation.errors)
    if "409" in own and "409" in errors:
        own["409"] = f"{own['409']}; or {errors['409'][0].lower()}{errors['409'][1:]}"
    return errors | own


def _error_body(operation: Operation, status: str, schemas: dict[Any, Any]) -> Any:
    special = operation.refusal is not None and status in operation.errors
    return schemas[operation.key, "refusal"] if special else schemas["", "error"]


RATE_HEADERS = ("X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset")


def _common_headers(operation: Operation) -> tuple[str, ...]:
    rate = RATE_HEADERS if operation.limited else ()
    return (*rate, "Idempotent-Replayed") if operation.method == "POST" else rate


def _error_headers(operation: Operation, status: str) -> tuple[str, ...]:
    rate = RATE_HEADERS if operation.limited or status in {"401", "429"} else ()
    return (*rate, "Retry-After") if status in {"429", "503"} else rate


def _refer(*names: str) -> dict[str, Any]:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def _idempotency(operation: Operation) -> list[dict[str, Any]]:
    if operation.method != "POST" or operation.access is Access.OPEN:
        return []
    schema = {"type": "string", "minLength": 1, "maxLength": LONGEST_KEY}
    meaning = (
        "Stands for this request for a day: a repeat gets the answer of the first, and nothing is done twice"
    )
    return [{"name": "Idempotency-Key", "in": "header", "description": meaning, "schema": schema}]


def _header(name: str, meaning: str) -> dict[str, Any]:
    whole = name.endswith("-Ms") or name in {"Retry-After", "X-Pg-Characters"} or name in RATE_HEADERS
    kind = "integer" if whole else "number" if name.endswith("-Seconds") else "string"
    return {"description": meaning, "schema": {"type": kind}}


def _query(operation: Operation) -> list[dict[str, Any]]:
    if operation.query is None:
        return []
    properties = operation.query.model_json_schema()["properties"]
    return [{"name": name, "in": "query", "schema": schema} for name, schema in properties.items()]


def _body(operation: Operation, schemas: dict[Any, Any]) -> dict[str, Any]:
    content = {}
    if operation.body is not None:
        content["application/json"] = {"schema": schemas[operation.key, "body"]}
    if operation.form is not None:
        content["multipart/form-data"] = {"schema": schemas[operation.key, "form"]}
    return content


def _contents(operation: Operation, schemas: dict[Any, Any]) -> dict[str, Any]:
    content: dict[str, Any] = {media: {} for media in operation.media}
    if operation.response is not None:
        content["application/json"] = {"schema": schemas[operation.key, "response"]}
    if operation.event is not None:
        content["text/event-stream"] = {"schema": schemas[operation.key, "event"]}
    return content
