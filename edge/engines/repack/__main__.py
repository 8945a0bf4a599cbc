"""``python -m edge.engines.repack SOURCE TARGET LAYOUT…``: take the first layout that is as good and faster.

Prints a JSON object a line: ``{"say": …}`` while it works, and at last ``{"taken": …}``, a layout or null;
with null there is no TARGET.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

import orjson

from edge.engines.llama import LlamaError, Model
from edge.engines.repack import speed
from edge.engines.repack.layouts import LAYOUTS, write
from edge.engines.repack.perplexity import Reader, compare
from edge.engines.repack.steadiness import wobble
from shared.cpus import available_cpus

LIMIT = 1.02
"""The perplexity that a layout may have, over that of the published file."""

WORTHWHILE = 1.2
"""How many times faster it must be, over one stream and sixteen (geometric mean)."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="edge.engines.repack")
    parser.add_argument("source", type=Path)
    parser.add_argument("target", type=Path)
    parser.add_argument("layouts", nargs="+", choices=LAYOUTS)
    given = parser.parse_args()
    try:
        _tell(_choose(given.source, given.target, given.layouts))
    except LlamaError as error:
        sys.exit(str(error))


def _choose(source: Path, target: Path, layouts: list[str]) -> dict[str, Any]:
    """Try *layouts* in turn; leave the first good one as *target*."""
    original = Model(source)
    reader = Reader(original, threads=available_cpus())
    threads = reader.settle_threads(tuple({available_cpus(), 1}))
    tried: list[str] = []
    for name in layouts:
        write(source, target, name, threads=available_cpus())
        found, objection = _measure(original, reader, Model(target), threads=threads)
        if objection is None:
            times = found["faster"]
            _say(f"{name}: {times['16']:.2f} times as fast at 16 streams, {times['1']:.2f} times at one")
            return {"taken": name, "tried": tried} | found
        tried.append(f"{name}: {objection}")
        _say(tried[-1])
        target.unlink()
    return {"taken": None, "tried": tried}


def _measure(
    original: Model, published: Reader, candidate: Model, *, threads: int
) -> tuple[dict[str, Any], str | None]:
    """Return what was found of *candidate*, and what speaks against it if anything does."""
    reader = Reader(candidate, threads=threads)
    try:
        before, after, ratio = compare(published, reader, limit=LIMIT)
    finally:
        reader.close()
    found: dict[str, Any] = {
        "published_perplexity": before,
        "perplexity": after,
        "perplexity_ratio": ratio,
    }
    if ratio > LIMIT:
        return found, f"perplexity {ratio:.3f} times the published one"
    moved = wobble(candidate, threads=threads)
    if moved > 0 and moved > wobble(original, threads=threads):
        return found, f"logits move by up to {moved:.2g} with who else is served"
    gain = speed.gain(original, candidate, threads=threads)
    found["faster"] = {"1": gain.alone, "16": gain.crowd}
    return found, f"only {gain.overall:.2f} times as fast" if gain.overall < WORTHWHILE else None


def _say(message: str) -> None:
    _tell({"say": message})


def _tell(line: dict[str, Any]) -> None:
    sys.stdout.buffer.write(orjson.dumps(line) + b"\n")
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
