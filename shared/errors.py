"""What a client is told when something goes wrong, by both services.

    ApiError                     any answer that is not a success
    ├── BadRequest          400  the request itself must change
    ├── Unauthorized        401  no key, or not a valid one
    │   └── WrongSecret          not the secret that the services of this grid share
    ├── Forbidden           403  a valid key, or a verb, that may not do this
    ├── NotFound            404  no such path, model or object
    ├── MethodNotAllowed    405
    ├── RequestTimeout      408  the body did not arrive in time
    ├── PayloadTooLarge     413  the body is larger than the limit
    ├── InternalError       500  a bug: logged with its traceback, told without it
    ├── BadGateway          502  an engine behind this service failed
    └── Unavailable         503  no capacity now; ``Retry-After`` says when to try again

A service raises one of these, or a subclass from its own ``errors`` module, and :func:`error_response`
is the only place that turns it into bytes.
"""

from collections.abc import Mapping
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from shared.http.json import JSON_CONTENT_TYPE, encode

SHOWN_PATH = 200
"""Characters of a request's path that an error repeats."""


class ApiError(Exception):
    """An answer with an error status.

    ``detail`` tells the caller what to change. ``type`` and ``code`` are OpenAI's machine-readable
    words, ``param`` the request field at fault. ``headers`` are added to the response.
    """

    status = 500
    type = "server_error"
    code: str | None = None

    def __init__(
        self,
        detail: str,
        *,
        param: str | None = None,
        code: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.param = param
        self.code = code if code is not None else type(self).code
        self.headers = dict(headers or {})

    def body(self) -> dict[str, Any]:
        """Return the error body: ``detail`` for FastAPI-style clients, ``error`` for OpenAI-style ones."""
        return {
            "detail": self.detail,
            "error": {"message": self.detail, "type": self.type, "param": self.param, "code": self.code},
        }


class BadRequest(ApiError):
    status = 400
    type = "invalid_request_error"


class Unauthorized(ApiError):
    status = 401
    type = "authentication_error"
    code = "invalid_api_key"

    def __init__(self, detail: str, *, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail, headers={"WWW-Authenticate": "Bearer", **(headers or {})})


class WrongSecret(Unauthorized):
    code = "invalid_internal_secret"


class Forbidden(ApiError):
    status = 403
    type = "permission_error"
    code = "forbidden"


class NotFound(ApiError):
    status = 404
    type = "not_found_error"
    code = "not_found"


class MethodNotAllowed(ApiError):
    status = 405
    type = "invalid_request_error"
    code = "method_not_allowed"


class RequestTimeout(ApiError):
    status = 408
    type = "invalid_request_error"
    code = "request_timeout"


class PayloadTooLarge(ApiError):
    status = 413
    type = "invalid_request_error"
    code = "payload_too_large"


class InternalError(ApiError):
    code = "internal_error"


class BadGateway(ApiError):
    status = 502
    code = "bad_gateway"


class Unavailable(ApiError):
    """No capacity now. ``retry_after`` is in whole seconds and becomes the ``Retry-After`` header."""

    status = 503
    type = "service_unavailable"
    code = "unavailable"

    def __init__(self, detail: str, *, retry_after: int = 1, code: str | None = None) -> None:
        super().__init__(detail, code=code, headers={"Retry-After": str(retry_after)})


def error_response(error: ApiError) -> Response:
    """Turn *error* into its response."""
    return Response(encode(error.body()), error.status, headers=error.headers, media_type=JSON_CONTENT_TYPE)


_BY_STATUS: Mapping[int, type[ApiError]] = {
    error.status: error
    for error in (
        BadRequest,
        Unauthorized,
        Forbidden,
        NotFound,
        MethodNotAllowed,
        RequestTimeout,
        PayloadTooLarge,
        InternalError,
        BadGateway,
        Unavailable,
    )
}


def error_for_status(status: int, detail: str, headers: Mapping[str, str] | None = None) -> ApiError:
    """Return the error of a refusal that is not ours: the framework's or the server's."""
    error = _BY_STATUS.get(status, ApiError)(detail)
    error.status = status
    if status not in _BY_STATUS and status < 500:
        error.type = "invalid_request_error"
    error.headers.update(headers or {})
    return error


async def handle_api_error(_request: Request, error: Exception) -> Response:
    assert isinstance(error, ApiError)
    return error_response(error)


async def handle_http_exception(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    mapped = error_for_status(error.status_code, error.detail, error.headers)
    path = request.scope["path"][:SHOWN_PATH]
    if error.status_code == 404 and mapped.detail == "Not Found":
        mapped.detail = f"There is nothing at {request.method} {path}"
    elif error.status_code == 405 and "Allow" in mapped.headers:
        allowed = " or ".join(sorted(mapped.headers["Allow"].split(", ")))
        mapped.detail = f"{request.method} is not allowed at {path}; use {allowed}"
    return error_response(mapped)


async def handle_disconnect(_request: Request, _error: Exception) -> Response:
    """End a request whose client left before its body was there. Only the access log sees this status."""
    return Response(status_code=499)


async def handle_unexpected(_request: Request, _error: Exception) -> Response:
    return unexpected_response()


def unexpected_response() -> Response:
    """Return the answer to an exception that nobody expected: it tells nothing of it."""
    return error_response(InternalError("Internal server error; the request id is in X-Request-ID"))


EXCEPTION_HANDLERS = {
    ApiError: handle_api_error,
    HTTPException: handle_http_exception,
    ClientDisconnect: handle_disconnect,
    Exception: handle_unexpected,
}
"""For ``Starlette(exception_handlers=…)``: every error of every path leaves in the one shape."""
