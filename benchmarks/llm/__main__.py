"""``python -m benchmarks.llm``."""

import argparse
import sys
from functools import partial
from importlib.metadata import version
from pathlib import Path

from benchmarks import command, machine
from benchmarks.llm import peers
from benchmarks.llm.bench import Bench
from benchmarks.llm.vocabulary import Vocabulary
from benchmarks.llm.workloads import WORKLOADS
from benchmarks.processes import BenchmarkError
from edge.models.catalogue import load_catalogue
from edge.models.pull import published
from edge.models.served import NotInstalledError, ServedModels
from nearedge.console import load_settings
from shared.cpus import available_cpus


def main() -> int:
    parser = command.parser(
        "python -m benchmarks.llm",
        "Measure the language model engine beside its peers. Missed targets are no failure.",
        WORKLOADS,
    )
    parser.add_argument("--model", default="smollm2-135m-instruct", help="id in the catalogue")
    parser.add_argument("--threads", type=int, default=available_cpus(), help="of every server")
    parser.add_argument("--seed", type=int, default=1, help="of prompts and arrivals")
    given = parser.parse_args()
    command.check(parser, given, WORKLOADS)
    if given.threads < 1:
        parser.error("--threads is at least 1")
    facts = machine.describe() | {"llama_cpp_python": version(peers.BINDINGS)}
    return command.measure(given, WORKLOADS, facts, partial(prepare, given))


def prepare(given: argparse.Namespace, scratch: Path) -> Bench:
    """Find the model's files and the peers.

    Raises:
        BenchmarkError: something is missing; the message says which command brings it.
    """
    catalogue = load_catalogue()
    model = catalogue.resolve(given.model)
    if model is None or model.kind != "chat":
        raise BenchmarkError(f"the catalogue has no chat model {given.model!r}; `nearedge models list`")
    settings = load_settings(edge_models=(model.id,), edge_threads=given.threads)
    try:
        order = ServedModels(catalogue, settings).order(model)
    except NotInstalledError as error:
        raise BenchmarkError(str(error)) from None
    served = Path(order.files["model"])
    return Bench(
        model=model.id,
        published=published(model, settings.cache),
        served=served,
        options=order.options,
        threads=given.threads,
        rounds=given.rounds,
        seed=given.seed,
        smoke=given.smoke,
        peers=peers.find(),
        vocabulary=Vocabulary(served),
        scratch=scratch,
        say=command.say,
    )


if __name__ == "__main__":
    sys.exit(main())
