import pytest
from pydantic import SecretStr
from starlette.requests import Request

from shared.errors import Forbidden, WrongSecret
from shared.http.internal_secret import require_secret
from tests.shared.http.asgi import scope_of

SECRET = SecretStr("s3cret")


def asking(authorization: bytes | None) -> Request:
    headers = [] if authorization is None else [(b"authorization", authorization)]
    return Request(scope_of(headers=headers))


@pytest.mark.parametrize("authorization", [b"Bearer s3cret", b"bearer s3cret", b"BEARER  s3cret "])
def test_the_secret_opens(authorization: bytes) -> None:
    require_secret(asking(authorization), SECRET)


@pytest.mark.parametrize(
    ("authorization", "detail"),
    [
        (None, "Missing"),
        (b"", "Missing"),
        (b"Bearer", "Missing"),
        (b"Bearer  ", "Missing"),
        (b"Basic s3cret", "Missing"),
        (b"s3cret", "Missing"),
        (b"Bearer s3cre", "Wrong"),
        (b"Bearer s3crets", "Wrong"),
        (b"Bearer S3CRET", "Wrong"),
        (b"Bearer s3cret s3cret", "Wrong"),
        (b"Bearer \xff\xfe", "Wrong"),
        (b"Bearer None", "Wrong"),
    ],
)
def test_nothing_else_does(authorization: bytes | None, detail: str) -> None:
    with pytest.raises(WrongSecret) as caught:
        require_secret(asking(authorization), SECRET)
    error = caught.value
    assert (error.status, error.code) == (401, "invalid_internal_secret")
    assert error.detail.startswith(f"{detail} internal secret")
    assert error.headers["WWW-Authenticate"] == "Bearer"
    assert "s3cret" not in error.detail


@pytest.mark.parametrize("authorization", [None, b"Bearer ", b"Bearer None", b"Bearer s3cret"])
def test_without_a_secret_nobody_may_ask(authorization: bytes | None) -> None:
    with pytest.raises(Forbidden, match="NEAREDGE_INTERNAL_SECRET") as caught:
        require_secret(asking(authorization), None)
    assert caught.value.code == "no_internal_secret"
