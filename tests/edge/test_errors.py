import re
from collections.abc import Iterator

import pytest

from edge import errors
from shared.errors import ApiError, error_response


def tree(root: type[ApiError] = ApiError) -> Iterator[type[ApiError]]:
    for error in root.__subclasses__():
        if error.__module__ == errors.__name__:
            yield error
        yield from tree(error)


def make(error: type[ApiError]) -> ApiError:
    try:
        return error("change this")
    except TypeError:
        return error()  # type: ignore[call-arg]


@pytest.mark.parametrize("error", list(tree()))
def test_every_error_can_be_told(error: type[ApiError]) -> None:
    raised = make(error)
    response = error_response(raised)
    assert response.status_code == raised.status >= 400
    assert raised.body()["detail"] == raised.body()["error"]["message"] != ""
    later = raised.status in {429, 503} or isinstance(raised, errors.IdempotencyInProgress)
    assert ("retry-after" in response.headers) == later
    assert ("www-authenticate" in response.headers) == (raised.status == 401)


def test_the_drawing_shows_every_error_with_its_status() -> None:
    drawing = dict(re.findall(r"── (\w+) +(\d{3})", str(errors.__doc__)))
    assert drawing == {error.__name__: str(error.status) for error in tree()}
