"""``python -m benchmarks.llm``."""

import argparse
import json
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks import machine
from benchmarks.llm import peers
from benchmarks.llm.bench import Bench
from benchmarks.llm.vocabulary import Vocabulary
from benchmarks.llm.workloads import WORKLOADS
from benchmarks.processes import BenchmarkError, end_on_signals
from benchmarks.report import Section
from edge.models.catalogue import load_catalogue
from edge.models.pull import published
from edge.models.served import NotInstalledError, ServedModels
from nearedge.console import load_settings
from shared.cpus import available_cpus


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.llm",
        description="Measure the language model engine beside its peers. Missed targets are no failure.",
    )
    parser.add_argument(
        "workloads", nargs="*", metavar="WORKLOAD", help=f"{', '.join(WORKLOADS)}; all if none"
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--model", default="smollm2-135m-instruct", help="id in the catalogue")
    parser.add_argument("--threads", type=int, default=available_cpus(), help="of every server")
    parser.add_argument("--seed", type=int, default=1, help="of prompts and arrivals")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write every round's numbers there")
    parser.add_argument(
        "--smoke", action="store_true", help="a tiny load that shows whether everything works"
    )
    given = parser.parse_args()
    if unknown := [name for name in given.workloads if name not in WORKLOADS]:
        parser.error(f"there is no workload {unknown[0]!r}; there are {', '.join(WORKLOADS)}")
    if given.rounds < 1 or given.threads < 1:
        parser.error("--rounds and --threads are at least 1")
    end_on_signals()
    try:
        return measure(given.workloads or list(WORKLOADS), given)
    except BenchmarkError as error:
        say(f"error: {error}")
        return 1
    except KeyboardInterrupt:
        say("interrupted; every server has been ended")
        return 130


def say(line: str) -> None:
    sys.stderr.write(f"{datetime.now(UTC):%H:%M:%S} {line}\n")
    sys.stderr.flush()


def show(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def write_json(file: Path, facts: Mapping[str, Any], sections: Sequence[Section]) -> None:
    content = {"machine": facts, "sections": [section.as_json() for section in sections]}
    file.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", "utf-8")


def measure(names: list[str], given: argparse.Namespace) -> int:
    """Run the workloads called *names*, print each when it is done, and return the exit status.

    One that cannot be measured does not keep the others from it; the status is then 1.
    """
    facts = machine.describe() | {"llama_cpp_python": version(peers.BINDINGS)}
    show(", ".join(f"{name} {value}" for name, value in facts.items()))
    scratch = Path(tempfile.mkdtemp(prefix="benchmark-"))
    sections: list[Section] = []
    failed = False
    try:
        bench = prepare(given, scratch)
        for name in names:
            try:
                section = WORKLOADS[name](bench)
            except BenchmarkError as error:
                failed = True
                say(f"{name} failed: {error}")
                continue
            sections.append(section)
            show(section.markdown())
            if given.json is not None:
                write_json(given.json, facts, sections)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    targets = [target for section in sections for target in section.targets]
    show(f"{sum(target.met for target in targets)} of {len(targets)} targets met")
    return 1 if failed else 0


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
        say=say,
    )


if __name__ == "__main__":
    sys.exit(main())
