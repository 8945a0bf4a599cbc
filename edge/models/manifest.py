"""What lies in a model's directory, written beside the files once they are all in place.

It lets the edge tell at once, without reading hundreds of megabytes, whether a model is complete and is the
one that the catalogue means today; and it holds the digests of files that were made here.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

FILE = "manifest.json"


@dataclass(frozen=True, slots=True)
class Weights:
    """In which weight layout a language model runs, and why. What was not measured is None."""

    layout: str
    published_layout: str
    perplexity: float | None = None
    """On the fixed text of ``edge.engines.repack.perplexity``, as is that of the published file."""
    published_perplexity: float | None = None
    perplexity_ratio: float | None = None
    speedup: Mapping[str, float] | None = None
    """How many times faster than the published file, by the number of streams at once."""
    tried: str = ""
    """What spoke against the layouts that were tried before."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One file: its digest and size, and for a derived one what it was made by and from."""

    sha256: str
    bytes: int
    converter: str | None = None
    inputs: Mapping[str, str] | None = None
    """Digests of the inputs by name."""
    weights: Weights | None = None


Manifest = Mapping[str, Entry]
"""Entries by file name."""


def read(directory: Path) -> Manifest:
    """Return the manifest of *directory*; empty when there is none that can be read."""
    try:
        content = orjson.loads((directory / FILE).read_bytes())
        return {name: _entry(**entry) for name, entry in content["files"].items()}
    except (OSError, orjson.JSONDecodeError, KeyError, TypeError, AttributeError):
        return {}


def _entry(*, weights: Mapping[str, Any] | None = None, **rest: Any) -> Entry:
    return Entry(**rest, weights=Weights(**weights) if weights is not None else None)


def to_json(manifest: Manifest) -> bytes:
    return orjson.dumps({"files": dict(manifest)}, option=orjson.OPT_INDENT_2)
