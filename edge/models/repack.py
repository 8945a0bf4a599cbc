"""Language models in the weight layout that runs fastest here, if it reads as well as the published one.

Layouts are tried in a process of its own, fastest first: the first one counts whose perplexity on a fixed
text is at most 2 % above the published file's, which is at least 1.2 times as fast here, and whose logits do
not depend on who else is served if the published file's do not. Otherwise the published file itself is what
runs. On two quiet cores all of it takes about 40 s for 135M parameters; on a busy machine several times that,
and it is given up after ten minutes.
"""

import contextlib
import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gguf
import orjson

from edge.models.gguf_header import GgufError, GgufHeader, read_header
from edge.models.manifest import Weights
from shared.artifacts import ArtifactError, Progress, SourceFailed
from shared.artifacts.process import run_lines
from shared.settings import environment_for

SECONDS = 600.0
"""What trying all layouts may take."""

INPUT = "published"
"""The only input: the file as it was published."""


def convert(inputs: Mapping[str, Path], output: Path, progress: Progress) -> Weights:
    """Write the model as it is to run, and return what was found out on the way.

    Raises:
        ArtifactError: the published file is no GGUF file.
    """
    published = inputs[INPUT]
    try:
        header = read_header(published)
    except GgufError as error:
        raise ArtifactError(f"{published.name} cannot be used: {error}") from None
    own = layout_of(header)
    # A process that outlived a kill of ours must not write into what the next one makes.
    made = output.with_name(f"{output.name}.{os.getpid()}")
    progress.say("measuring which weight layout runs fastest here (about 40 s on two quiet cores)")
    found, trouble = _try(published, made, candidates(header), progress)
    if found is None or found["taken"] is None:
        made.unlink(missing_ok=True)
        _share(published, output)
        reason = f"could not be measured: {trouble}" if found is None else "; ".join(found["tried"])
        progress.say(f"keeping the published layout, {own}: {reason}")
        return Weights(layout=own, published_layout=own, tried=reason)
    made.replace(output)
    progress.say(f"taking the layout {found['taken']}")
    return Weights(
        layout=found["taken"],
        published_layout=own,
        perplexity=round(found["perplexity"], 4),
        published_perplexity=round(found["published_perplexity"], 4),
        perplexity_ratio=round(found["perplexity_ratio"], 4),
        speedup={streams: round(times, 2) for streams, times in found["faster"].items()},
        tried="; ".join(found["tried"]),
    )


def layout_of(header: GgufHeader) -> str:
    """Return the layout that a file says to be of, such as Q4_1 or Q4_K_M."""
    try:
        return gguf.LlamaFileType(header.metadata.get("general.file_type", -1)).name.removeprefix("MOSTLY_")
    except ValueError:
        return "unknown"


def candidates(header: GgufHeader) -> list[str]:
    """Return the layouts to try, fastest first."""
    own = layout_of(header)
    return [name for name in ("Q4_0", "Q8_0") if name != own]


def _try(
    published: Path, output: Path, layouts: list[str], progress: Progress
) -> tuple[dict[str, Any] | None, str]:
    """Return the verdict of the process that tries *layouts*, or None and what went wrong with it."""
    verdict: dict[str, Any] = {}
    told: list[str] = []

    def on_line(line: str) -> None:
        try:
            message = orjson.loads(line)
        except orjson.JSONDecodeError:
            message = None
        if not isinstance(message, dict):
            told.append(line)
        elif "say" in message:
            progress.say(message["say"])
        else:
            verdict.update(message)

    command = [sys.executable, "-P", "-m", "edge.engines.repack", str(published), str(output), *layouts]
    try:
        status = run_lines(
            command, on_line, environ=environment_for({}), seconds=SECONDS, silent_seconds=SECONDS
        )
    except SourceFailed as error:
        return None, str(error)
    if status != 0 or not verdict:
        return None, next(
            (line for line in reversed(told) if line), f"the process ended with status {status}"
        )
    return verdict, ""


def _share(published: Path, output: Path) -> None:
    """Let *output* be the same file where the file system can do that, a copy elsewhere."""
    output.unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        os.link(published, output)
        return
    shutil.copyfile(published, output)
