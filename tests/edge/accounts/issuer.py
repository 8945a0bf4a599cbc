"""An issuer of session tokens."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import jwt
import orjson
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

ISSUER = "https://issuer.example"

RSA = rsa.generate_private_key(65537, 2048)
EC = ec.generate_private_key(ec.SECP256R1())
ED = ed25519.Ed25519PrivateKey.generate()


def jwk(key: Any, kid: str, **fields: str) -> dict[str, Any]:
    """Return the public half of *key* as it stands in a JWKS."""
    kinds: dict[type, Any] = {
        rsa.RSAPrivateKey: RSAAlgorithm,
        ec.EllipticCurvePrivateKey: ECAlgorithm,
        ed25519.Ed25519PrivateKey: OKPAlgorithm,
    }
    algorithm = next(found for kind, found in kinds.items() if isinstance(key, kind))
    fields = {"kid": kid, "use": "sig"} | fields
    return {**algorithm.to_jwk(key.public_key(), as_dict=True), **fields}


def jwks(*keys: dict[str, Any]) -> bytes:
    return orjson.dumps({"keys": keys})


PUBLISHED = jwks(jwk(RSA, "rsa"), jwk(EC, "ec"), jwk(ED, "ed"))


def token(key: Any = RSA, *, algorithm: str = "RS256", kid: str | None = "rsa", **claims: object) -> str:
    """Return a token of the issuer for the default tenant that is good for an hour; a claim of None is left
    out."""
    said = {
        "iss": ISSUER,
        "sub": "user-1",
        "exp": int(time.time()) + 3600,
        "tenant": "default",
        "scope": "inference read",
    } | claims
    payload = {name: value for name, value in said.items() if value is not None}
    return jwt.encode(payload, key, algorithm, headers={"kid": kid} if kid is not None else None)


@contextmanager
def served(status: int, content: bytes, **headers: str) -> Iterator[str]:
    """Answer every request so; yields a URL."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/keys"
        finally:
            server.shutdown()
            thread.join()
