import pytest
from rich.table import Table

from nearedge import console


def test_failure_goes_to_stderr_as_it_is_written(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as raised:
        console.fail("regions[0].id [bold]is[/bold] wrong; " + "long " * 50, code=3)
    written = capsys.readouterr()
    assert raised.value.code == 3
    assert written.out == ""
    assert written.err == "error: regions[0].id [bold]is[/bold] wrong; " + "long " * 50 + "\n"


def test_options_that_are_silent_leave_the_settings_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEAREDGE_EDGE_PORT", "9000")
    assert console.load_settings(edge_port=None).edge_port == 9000
    assert console.load_settings(edge_port=9001).edge_port == 9001


def test_table_is_as_wide_as_what_is_in_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "20")
    table = Table("one", "two")
    table.add_row("a" * 100, "b" * 100)
    console.show(table)
    assert "a" * 100 in capsys.readouterr().out
