import json

import pytest

from benchmarks.figures import Ratio
from benchmarks.machine import Conditions
from benchmarks.report import Section, Sense, Table, Target

RATIO = Ratio(1.5, 1.25, 2.0)


def test_the_columns_of_a_table_are_aligned() -> None:
    table = Table("Speed", ("", "1", "16"), (("one", "10", "9"), ("another", "8", "200")))
    assert table.markdown().splitlines() == [
        "**Speed**",
        "",
        "|         | 1  | 16  |",
        "| ------- | -- | --- |",
        "| one     | 10 | 9   |",
        "| another | 8  | 200 |",
    ]


def test_a_row_that_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="Speed"):
        Table("Speed", ("", "1"), (("one",),)).markdown()


@pytest.mark.parametrize(
    ("sense", "goal", "met"),
    [
        (Sense.AT_LEAST, 1.5, True),
        (Sense.AT_LEAST, 1.6, False),
        (Sense.AT_MOST, 1.5, True),
        (Sense.AT_MOST, 1.4, False),
        (Sense.UNDER, 1.6, True),
        (Sense.UNDER, 1.5, False),
    ],
)
def test_a_target_is_met_or_missed_by_its_median(sense: Sense, goal: float, met: bool) -> None:
    target = Target("speed", RATIO, sense, goal)
    assert target.met is met
    assert target.line().startswith("met" if met else "missed")


def test_a_target_tells_its_numbers() -> None:
    line = Target("speed", RATIO, Sense.AT_LEAST, 2.0).line()
    assert line == "missed  speed: 1.500 (1.250 to 2.000), goal at least 2"


def test_a_section_tells_everything_in_both_forms() -> None:
    section = Section(
        workload="throughput",
        reproduce="python -m benchmarks.llm throughput",
        about="128 tokens.",
        conditions=Conditions(seconds=10.0, foreign=0.5, stolen=0.0, idle_peers=0.0),
        tables=(Table("Speed", ("", "1"), (("one", "10"),)),),
        targets=(Target("speed", RATIO, Sense.AT_LEAST, 1.0),),
        servers={"one": "server --port 1"},
        figures={"speed": [1.0, 2.0]},
    )
    text = section.markdown()
    for part in ("## throughput", "python -m", "128 tokens.", "50.0%", "**Speed**", "met", "server --port 1"):
        assert part in text
    found = json.loads(json.dumps(section.as_json()))
    assert found["figures"] == {"speed": [1.0, 2.0]}
    assert found["conditions"]["foreign"] == 0.5
    assert found["targets"][0] == {
        "claim": "speed",
        "measured": 1.5,
        "low": 1.25,
        "high": 2.0,
        "sense": "at least",
        "goal": 1.0,
        "met": True,
    }
