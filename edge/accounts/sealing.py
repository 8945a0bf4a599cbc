"""Keeping an answer so that the database alone tells nobody what it says."""

import hashlib
import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_NONCE_BYTES = 12
_CONTEXT = b"nearedge idempotency\0"


class NotSealedWith(Exception):
    """It was sealed with another secret, or is damaged."""


def seal(secret: str, data: bytes) -> bytes:
    """Return *data* so that only who has *secret* can read it.

    The secret is hashed, not stretched: it must be as random as an API key.
    """
    nonce = os.urandom(_NONCE_BYTES)
    return nonce + _cipher(secret).encrypt(nonce, data, None)


def unseal(secret: str, sealed: bytes) -> bytes:
    """Return what :func:`seal` was given.

    Raises:
        NotSealedWith: *secret* is not the one that it was sealed with.
    """
    try:
        return _cipher(secret).decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], None)
    except (InvalidTag, ValueError):
        raise NotSealedWith from None


def _cipher(secret: str) -> AESGCM:
    return AESGCM(hashlib.sha256(_CONTEXT + secret.encode("utf-8", "surrogateescape")).digest())
