from pathlib import Path

from edge.accounts.holder import holder_name


def test_the_name_is_the_same_after_a_restart(tmp_path: Path) -> None:
    with holder_name(tmp_path / "home", "yto-01") as first:
        assert first.startswith("yto-01-")
    with holder_name(tmp_path / "home", "yto-01") as second:
        assert second == first


def test_nobody_else_has_it_meanwhile(tmp_path: Path) -> None:
    with (
        holder_name(tmp_path, "yto-01") as first,
        holder_name(tmp_path, "yto-01") as second,
        holder_name(tmp_path, "nyc-01") as third,
    ):
        assert len({first, second, third}) == 3
