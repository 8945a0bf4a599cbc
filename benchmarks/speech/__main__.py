"""``python -m benchmarks.speech``."""

import argparse
import sys
from functools import partial
from importlib.metadata import version
from pathlib import Path

from benchmarks import command, machine
from benchmarks.processes import BenchmarkError
from benchmarks.speech import peers, recordings
from benchmarks.speech.bench import Bench
from benchmarks.speech.workloads import WORKLOADS
from edge.models.catalogue import CatalogueModel, load_catalogue
from edge.models.pull import installed, paths
from nearedge.console import load_settings
from shared.cpus import available_cpus

ENGINES = ("faster-whisper", "ctranslate2", "onnxruntime")


def main() -> int:
    parser = command.parser(
        "python -m benchmarks.speech",
        "Measure speech beside the raw engines and other servers. Missed targets are no failure.",
        WORKLOADS,
    )
    parser.add_argument("--stt-model", default="whisper-tiny.en", help="id in the catalogue")
    parser.add_argument("--threads", type=int, default=available_cpus(), help="of every server")
    given = parser.parse_args()
    command.check(parser, given, WORKLOADS)
    if given.threads < 1:
        parser.error("--threads is at least 1")
    facts = machine.describe() | {name: version(name) for name in ENGINES}
    return command.measure(given, WORKLOADS, facts, partial(prepare, given))


def prepare(given: argparse.Namespace, scratch: Path) -> Bench:
    """Find the models, the recordings and the peers.

    Raises:
        BenchmarkError: something is missing; the message says which command brings it.
    """
    cache = load_settings().cache
    voice, ear = (
        _installed(name, kind, cache) for name, kind in (("kokoro-82m", "tts"), (given.stt_model, "stt"))
    )
    return Bench(
        voice=voice.id,
        ear=ear.id,
        files={"tts": paths(voice, cache), "stt": paths(ear, cache)},
        threads=given.threads,
        rounds=given.rounds,
        smoke=given.smoke,
        clips=recordings.load(recordings.directory(cache)),
        peers=peers.find(peers.directory(cache)),
        scratch=scratch,
        say=command.say,
    )


def _installed(name: str, kind: str, cache: Path) -> CatalogueModel:
    model = load_catalogue().resolve(name)
    if model is None or model.kind != kind:
        raise BenchmarkError(f"the catalogue has no {kind} model {name!r}; `nearedge models list`")
    if not installed(model, cache):
        raise BenchmarkError(f"not installed: {model.id}; run `nearedge models pull {model.id}`")
    return model


if __name__ == "__main__":
    sys.exit(main())
