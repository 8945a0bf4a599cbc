from benchmarks.grid import grid

RESULTS = {1: {"a": [1.0, 3.0, 2.0], "b": [5.0, 6.0, 4.0]}, 16: {"a": [9.0, 9.0, 9.0], "b": [7.0, 7.0, 7.0]}}


def test_a_quantity_is_taken_of_every_result() -> None:
    found = grid(RESULTS, lambda value: value * 10)
    assert found.at(1, "a").values == (10.0, 30.0, 20.0)
    assert found.values()["16"] == {"a": [90.0, 90.0, 90.0], "b": [70.0, 70.0, 70.0]}


def test_the_best_of_several_servers_is_that_of_the_point() -> None:
    found = grid(RESULTS, lambda value: value)
    assert found.highest(1, ["a", "b"]).median == 5.0
    assert found.highest(16, ["a", "b"]).median == 9.0
    assert found.lowest(1, ["a", "b"]).median == 2.0
    assert found.lowest(16, ["a", "b"]).median == 7.0


def test_a_table_has_a_row_for_each_server() -> None:
    table = grid(RESULTS, lambda value: value).table("Speed", "streams")
    assert table.columns == ("streams", "1", "16")
    assert table.rows == (("a", "2 (1 to 3)", "9 (9 to 9)"), ("b", "5 (4 to 6)", "7 (7 to 7)"))
