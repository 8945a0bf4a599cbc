"""What pydantic finds wrong, in a user's words."""

from pydantic_core import ErrorDetails


def reason(error: ErrorDetails) -> str:
    """Return the message of one item of ``ValidationError.errors()``, without pydantic's own opening."""
    return error["msg"].removeprefix("Value error, ")
