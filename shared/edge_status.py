"""What an edge tells an autorouter of itself: the body of ``GET /internal/status``, in msgpack."""

from typing import Annotated, Literal

import msgpack
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from shared.validation import reason

PATH = "/internal/status"
CONTENT_TYPE = "application/msgpack"

MAX_BYTES = 256 * 1024
"""A longer body is no status."""

MAX_MODELS = 1000
MAX_NAMES = 1000

Name = Annotated[str, Field(min_length=1, max_length=200)]
Limit = Annotated[int, Field(ge=1)]

# What a newer edge tells besides is no reason not to understand it.
_CONFIG = ConfigDict(frozen=True, strict=True, extra="ignore")


class StatusError(Exception):
    """The bytes are no status; the message says what is wrong with them."""


class ModelStatus(BaseModel):
    """One model that the edge serves. ``names`` are all that it answers to, its id among them.

    ``state`` is ``loaded`` once it takes requests, else a word that says why not. ``in_flight`` counts the
    requests that it holds: from ``soft_limit`` on new ones had better go elsewhere, at ``limit`` they are
    refused.
    """

    model_config = _CONFIG

    id: Name
    names: Annotated[tuple[Name, ...], Field(max_length=MAX_NAMES)]
    state: Name
    in_flight: Annotated[int, Field(ge=0)]
    soft_limit: Limit
    limit: Limit


class EdgeStatus(BaseModel):
    """One edge. One that is ``draining`` still answers, but is about to stop."""

    model_config = _CONFIG

    version: Literal[1] = 1
    region: Name
    draining: bool
    models: Annotated[tuple[ModelStatus, ...], Field(max_length=MAX_MODELS)]


def encode(status: EdgeStatus) -> bytes:
    packed: bytes = msgpack.packb(status.model_dump())
    return packed


def decode(body: bytes) -> EdgeStatus:
    """Read a status from wherever it may come: at most MAX_BYTES, and little memory, whatever they claim.

    Raises:
        StatusError: it is none.
    """
    if len(body) > MAX_BYTES:
        raise StatusError(f"more than {MAX_BYTES} bytes")
    try:
        # An array is made as long as it claims to be, before its elements are read.
        told = msgpack.unpackb(
            body,
            use_list=False,
            max_array_len=max(MAX_MODELS, MAX_NAMES),
            max_map_len=100,
            max_bin_len=0,
            max_ext_len=0,
        )
    except (ValueError, msgpack.UnpackException) as error:
        raise StatusError(f"not msgpack of a status: {error}"[:200]) from None
    try:
        return EdgeStatus.model_validate(told)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise StatusError(f"{where}: {reason(first)}" if where else reason(first)) from None
