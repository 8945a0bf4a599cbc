"""The public keys of whoever issues session tokens (JWKS, RFC 7517)."""

import time
from collections.abc import Awaitable, Callable, Mapping

import anyio
import httpx
import orjson
import structlog
from jwt import PyJWK
from jwt.exceptions import PyJWTError

from edge.accounts.kept_keys import KeptKeys

log = structlog.get_logger(__name__)

FETCH_SECONDS = 5.0
REFRESH_SECONDS = 300.0
"""How often the keys are fetched anew, so that a withdrawn one ends."""

UNKNOWN_SECONDS = 10.0
"""How often at most they are fetched because a token names a key that is not among them."""

STALE_SECONDS = 86400.0
"""How long known keys are used while no new ones can be fetched."""

MAX_BYTES = 1024 * 1024
MAX_KEYS = 100

ALGORITHMS = frozenset(
    {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}
)
"""Asymmetric ones only: with a shared secret a public key could be taken for one."""

_OF_TYPE = {
    "RSA": frozenset({"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"}),
    "EC": frozenset({"ES256", "ES384", "ES512"}),
    "OKP": frozenset({"EdDSA"}),
}


class KeysUnavailable(Exception):
    """The keys cannot be fetched, so nobody knows whether a token is good."""


class SigningKey:
    """A public key and the algorithms that a token signed by it may name."""

    def __init__(self, fields: Mapping[str, object]) -> None:
        named = fields.get("alg")
        allowed = _OF_TYPE[str(fields["kty"])]
        if named is not None and named not in allowed:
            raise ValueError(f"{named} is no algorithm of a {fields['kty']} key")
        self._fields = dict(fields)
        jwk = PyJWK(self._fields)
        # A curve goes with one algorithm; an RSA key that names none may be used with each of its kind.
        single = isinstance(named, str) or fields["kty"] != "RSA"
        self.algorithms = frozenset({jwk.algorithm_name}) if single else allowed
        self.key = jwk.key


def parse_keys(content: bytes) -> dict[str, SigningKey]:
    """Return the keys for signatures in a JWKS document by their ids; "" for one without.

    Keys of kinds that are not used here, shared secrets among them, are left out.

    Raises:
        ValueError: it is no JWKS document.
    """
    document = orjson.loads(content)
    listed = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(listed, list):
        raise ValueError("it has no list of keys")
    found: dict[str, SigningKey] = {}
    for fields in listed[:MAX_KEYS]:
        if (
            not isinstance(fields, dict)
            or fields.get("kty") not in _OF_TYPE
            or fields.get("use", "sig") != "sig"
        ):
            continue
        try:
            found[str(fields.get("kid", ""))] = SigningKey(fields)
        except (PyJWTError, ValueError, KeyError) as error:
            log.warning(
                "a key of the token issuer cannot be used", kid=fields.get("kid"), error=str(error)[:200]
            )
    return found


async def read_source(source: str) -> bytes:
    """Return the document at *source*, a URL or the path of a file.

    Raises:
        OSError, httpx.HTTPError: it cannot be read.
        ValueError: it is too large, or the answer is no success.
    """
    if not is_url(source):
        return await anyio.Path(source).read_bytes()
    async with (
        httpx.AsyncClient(timeout=FETCH_SECONDS, follow_redirects=False) as client,
        client.stream("GET", source, headers={"Accept": "application/json"}) as response,
    ):
        if response.status_code != 200:
            raise ValueError(f"the answer is {response.status_code}")
        content = bytearray()
        async for block in response.aiter_bytes():
            content += block
            if len(content) > MAX_BYTES:
                raise ValueError(f"it is larger than {MAX_BYTES} bytes")
        return bytes(content)


def is_url(source: str) -> bool:
    return source.startswith(("https://", "http://"))


def shown(source: str) -> str:
    """Return *source* without what a URL may hold of secrets: user, password, query."""
    if not is_url(source):
        return source
    url = httpx.URL(source)
    return str(url.copy_with(username=None, password=None, query=None))


class KeySet:
    """The keys at *source*, fetched in the background. A request waits for a fetch only if its token names a
    key that is not known, and such fetches are rare however many come.

    What was fetched is *kept*, and begun with after a restart.
    """

    def __init__(
        self,
        source: str,
        *,
        kept: KeptKeys | None = None,
        read: Callable[[str], Awaitable[bytes]] = read_source,
        timer: Callable[[], float] = time.monotonic,
    ) -> None:
        self._source = source
        self._kept = kept
        self._read = read
        self._timer = timer
        self._keys: dict[str, SigningKey] = {}
        self._fetched_at: float | None = None
        self._tried_at: float | None = None
        self._failed = False
        self._turn = anyio.Lock()

    async def run(self) -> None:
        """Fetch the keys again and again until cancelled."""
        while True:
            await self._fetch()
            await anyio.sleep(UNKNOWN_SECONDS if self._failed else REFRESH_SECONDS)

    async def find(self, key_id: str | None) -> SigningKey | None:
        """Return the key of this id, or the only one if a token names none; None if there is no such key.

        Raises:
            KeysUnavailable: nobody knows, for the keys cannot be fetched.
        """
        found = self._known(key_id)
        if found is None:
            await self._fetch_for_unknown()
            found = self._known(key_id)
        if found is None and self._failed:
            raise KeysUnavailable(f"the keys at {shown(self._source)} cannot be fetched")
        return found

    def _known(self, key_id: str | None) -> SigningKey | None:
        if self._fetched_at is None or self._timer() - self._fetched_at > STALE_SECONDS:
            return None
        if key_id is None:
            return next(iter(self._keys.values())) if len(self._keys) == 1 else None
        return self._keys.get(key_id)

    async def _fetch_for_unknown(self) -> None:
        async with self._turn:
            recent = self._tried_at is not None and self._timer() - self._tried_at < UNKNOWN_SECONDS
            if not recent:
                await self._fetch_now()

    async def _fetch(self) -> None:
        async with self._turn:
            await self._fetch_now()

    async def _fetch_now(self) -> None:
        if self._tried_at is None and self._kept is not None:
            await self._take_up(self._kept)
        self._tried_at = self._timer()
        try:
            with anyio.fail_after(FETCH_SECONDS):
                content = await self._read(self._source)
            keys = parse_keys(content)
        except (OSError, ValueError, httpx.HTTPError) as error:
            if not self._failed:
                log.warning(
                    "the keys of the token issuer cannot be fetched",
                    source=shown(self._source),
                    error=str(error),
                )
            self._failed = True
            return
        self._keys, self._fetched_at, self._failed = keys, self._timer(), False
        if self._kept is not None:
            await self._kept.keep(content)

    async def _take_up(self, kept: KeptKeys) -> None:
        """Begin with what was kept, if it is not too old by the clock on the wall, or newer than now."""
        found = await kept.load()
        if found is None or not 0 <= found.age_seconds <= STALE_SECONDS:
            return
        try:
            self._keys = parse_keys(found.content)
        except ValueError as error:
            log.warning("kept keys of the token issuer are none", error=str(error))
            return
        self._fetched_at = self._timer() - found.age_seconds
