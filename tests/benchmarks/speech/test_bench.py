from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from benchmarks.figures import Figure
from benchmarks.llm.servers import Server, ServerSpec
from benchmarks.processes import BenchmarkError
from benchmarks.speech.bench import Bench
from benchmarks.speech.peers import Peers
from benchmarks.speech.servers import Contender
from benchmarks.speech.workloads import WORKLOADS
from benchmarks.speech.workloads.speaking import worst


def bench(**changed: Any) -> Bench:
    fields: dict[str, Any] = {
        "voice": "mouth",
        "ear": "ear",
        "files": {},
        "threads": 2,
        "rounds": 3,
        "smoke": False,
        "clips": [],
        "peers": Peers(Path("whisper"), Path("kokoro")),
        "scratch": Path(),
        "say": lambda _line: None,
    }
    return Bench(**fields | changed)


def contenders(*names: str) -> list[Contender]:
    return [Contender(Server(ServerSpec(name, (), {}), 1, psutil.Process())) for name in names]


def test_every_point_of_a_round_is_measured_on_everyone_in_changing_order() -> None:
    asked: list[tuple[str, str]] = []

    def load(one: Contender, *, point: int | str) -> int:
        asked.append((str(point), one.name))
        return len(asked)

    found = bench(rounds=6).interleave(contenders("a", "b"), ["short", "long"], load)
    assert {point: {name: len(values) for name, values in by.items()} for point, by in found.items()} == {
        "short": {"a": 6, "b": 6},
        "long": {"a": 6, "b": 6},
    }
    assert [point for point, _ in asked] == ["short", "short", "long", "long"] * 6
    firsts = {asked[number][1] for number in range(0, len(asked), 2)}
    assert firsts == {"a", "b"}


def test_a_server_that_is_gone_is_told() -> None:
    def gone(_one: Contender) -> None:
        raise httpx.ConnectError("refused")

    (one,) = contenders("a")
    with pytest.raises(BenchmarkError, match="a: refused"):
        bench().run(one, [one], gone)


def test_the_command_that_measures_again_names_everything() -> None:
    assert bench(smoke=True).reproduce("hearing") == (
        "python -m benchmarks.speech hearing --rounds 3 --stt-model ear --threads 2 --smoke"
    )


def test_the_worst_round_counts_for_what_must_never_happen() -> None:
    assert worst(Figure((0.0, 0.5, 0.0))).value == 0.5


def test_workloads_have_the_names_of_the_readme() -> None:
    readme = (Path(__file__).parents[3] / "benchmarks" / "README.md").read_text("utf-8")
    section = readme.partition("## Speech")[2].partition("\n## ")[0]
    assert [line.split("`")[1] for line in section.splitlines() if line.startswith("| `")] == list(WORKLOADS)
