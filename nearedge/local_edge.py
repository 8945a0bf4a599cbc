"""The edge of a local grid that runs in a home directory, and a way in."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from shared import regions

COMMAND_SECONDS = 60.0
KEY_NAME = "demo"


class LocalEdgeError(Exception):
    """There is no such edge, or no key for it can be made; the message says what to change."""


def url(home: Path) -> str:
    """Return where the first edge of the grid in *home* answers, if it runs.

    Raises:
        LocalEdgeError: no grid was ever started there.
    """
    file = home / "grid" / "regions.yaml"
    if not file.exists():
        raise LocalEdgeError(
            f"no grid was started in {home}; start one with `nearedge up`, or name an edge by --url and --key"
        )
    try:
        return next(iter(regions.load(file))).url
    except regions.RegionsError as error:
        raise LocalEdgeError(str(error)) from None


@contextmanager
def key_for_a_while(home: Path) -> Iterator[str]:
    """Make a key for the edges of *home*, and revoke it on leaving.

    Raises:
        LocalEdgeError: the database cannot be used.
    """
    made = json.loads(_keys("create", "--name", KEY_NAME, "--home", str(home), "--json"))
    try:
        yield made["key"]
    finally:
        _keys("revoke", made["id"], "--home", str(home))


def _keys(*arguments: str) -> str:
    """Run ``nearedge keys``, which knows where keys are kept, and return what it prints."""
    done = subprocess.run(
        [sys.executable, "-m", "nearedge", "keys", *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=COMMAND_SECONDS,
        check=False,
    )
    if done.returncode != 0:
        raise LocalEdgeError(done.stderr.strip().removeprefix("error: "))
    return done.stdout
