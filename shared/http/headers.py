"""A header of a request, where looking it up must cost next to nothing."""

from starlette.types import Scope


def header(scope: Scope, name: bytes) -> str | None:
    """Return the first header of *name*, in lower case as ASGI has them; None if there is none.

    Starlette's ``Headers`` do the same at several times the cost, which counts where every request pays it.
    """
    key: bytes
    value: bytes
    for key, value in scope["headers"]:
        if key == name:
            return value.decode("latin-1")
    return None
