"""The last public keys of a token issuer, on the disk, for an edge that starts while the issuer is away."""

import hashlib
import os
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import anyio.to_thread
import orjson
import structlog

log = structlog.get_logger(__name__)

FILE_NAME = "issuer-keys.json"


@dataclass(frozen=True, slots=True)
class Kept:
    """A document as it was fetched, ``age_seconds`` ago by the clock on the wall."""

    content: bytes
    age_seconds: float


class KeptKeys:
    """Keeps the document of one *source* in *file*, which its owner alone can read and write.

    The source itself, which may hold a secret, is not in the file.
    """

    def __init__(
        self, file: Path, source: str, *, now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._file = file
        self._source = hashlib.sha256(source.encode()).hexdigest()
        self._now = now

    async def load(self) -> Kept | None:
        """Return what was kept of this source, None if nothing was or it cannot be read."""
        try:
            return await anyio.to_thread.run_sync(self._load)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            log.warning(
                "kept keys of the token issuer cannot be read", file=str(self._file), error=str(error)
            )
            return None

    async def keep(self, content: bytes) -> None:
        """Put *content*, which was fetched now, in the place of what was kept."""
        try:
            await anyio.to_thread.run_sync(self._keep, content)
        except OSError as error:
            log.warning("keys of the token issuer cannot be kept", file=str(self._file), error=str(error))

    def _load(self) -> Kept | None:
        found = orjson.loads(self._file.read_bytes())
        if found["source_sha256"] != self._source:
            return None
        age = self._now() - datetime.fromisoformat(found["fetched_at"])
        return Kept(found["document"].encode(), age.total_seconds())

    def _keep(self, content: bytes) -> None:
        kept = {
            "source_sha256": self._source,
            "fetched_at": self._now().isoformat(),
            "document": content.decode(),
        }
        part = self._file.with_name(f"{self._file.name}.{secrets.token_hex(4)}")
        try:
            with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write(orjson.dumps(kept))
                file.flush()
                os.fsync(file.fileno())
            part.replace(self._file)
        finally:
            part.unlink(missing_ok=True)
