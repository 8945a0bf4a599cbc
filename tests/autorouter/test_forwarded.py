import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autorouter.forwarded import LINE_LIMIT, for_nodes


@pytest.mark.parametrize(
    ("line", "nodes"),
    [
        ("for=192.0.2.43", ["192.0.2.43"]),
        ("For=192.0.2.43", ["192.0.2.43"]),
        ('for="[2001:db8:cafe::17]:4711"', ["[2001:db8:cafe::17]:4711"]),
        ("for=192.0.2.60;proto=http;by=203.0.113.43", ["192.0.2.60"]),
        ("by=203.0.113.43;for=192.0.2.60", ["192.0.2.60"]),
        ("for=192.0.2.43, for=198.51.100.17", ["192.0.2.43", "198.51.100.17"]),
        ("for=192.0.2.43,for=198.51.100.17;host=a", ["192.0.2.43", "198.51.100.17"]),
        ("for=192.0.2.43 ; proto=https , for=unknown", ["192.0.2.43", "unknown"]),
        ("for=_hidden, for=_SEVKISEK", ["_hidden", "_SEVKISEK"]),
        ("proto=https, for=192.0.2.43;", [None, "192.0.2.43"]),
        ('for="192.0.2.43:80";host="a,b;c"', ["192.0.2.43:80"]),
        (r'for="192.0.2.\43";host="\""', ["192.0.2.43"]),
        ("for=2001:db8::1", ["2001:db8::1"]),
        ("", [None]),
        (",for=192.0.2.43", [None, "192.0.2.43"]),
        ("for=", [""]),
    ],
)
def test_elements_are_read(line: str, nodes: list[str | None]) -> None:
    assert for_nodes(line) == nodes


@pytest.mark.parametrize(
    "line",
    [
        "192.0.2.43",
        "for=192.0.2.43 for=198.51.100.17",
        "for=192.0.2.43;for=198.51.100.17",
        "for =192.0.2.43",
        "for= 192.0.2.43",
        'for="192.0.2.43',
        'for=192.0.2.43"',
        'for="a"b',
        r'for="\"',
        "for=a\nfor=b",
        'for="évil", for=192.0.2.43, "',
    ],
)
def test_malformed_line_tells_nothing(line: str) -> None:
    assert for_nodes(line) == [None]


written = st.text(st.characters(min_codepoint=0x20, max_codepoint=0xFF), max_size=60)


@given(written, st.sampled_from(["for=192.0.2.43", 'for="[2001:db8::1]:443";proto=https']))
def test_what_a_caller_wrote_never_replaces_what_a_proxy_appended(before: str, appended: str) -> None:
    """Neither an open quote nor a backslash shifts where the last element begins."""
    nodes = for_nodes(f"{before}, {appended}")
    assert nodes[-1] in (None, "192.0.2.43", "[2001:db8::1]:443")


@given(st.lists(st.tuples(st.booleans(), st.ip_addresses()), min_size=1, max_size=6))
def test_what_proxies_write_is_read_back(elements: list[tuple[bool, object]]) -> None:
    line = ", ".join(
        f'for="{address}";proto=https' if quoted else f"for={address}" for quoted, address in elements
    )
    assert for_nodes(line) == [str(address) for _, address in elements]


def test_too_long_a_line_is_not_read() -> None:
    line = ",".join(["for=192.0.2.43"] * (LINE_LIMIT // 15))
    assert len(line) <= LINE_LIMIT
    assert set(for_nodes(line)) == {"192.0.2.43"}
    assert for_nodes(line + ",for=192.0.2.43" * 10) == [None]


@pytest.mark.parametrize("piece", ['"', "\\", '="', ";", ",", " ", "a", "a=", 'for="\\', "for=a;", "=", '""'])
def test_work_is_bounded_whatever_is_sent(piece: str) -> None:
    started = time.process_time()
    for line in (piece * (LINE_LIMIT // len(piece)), 'for="' + piece * ((LINE_LIMIT - 5) // len(piece))):
        for_nodes(line)
    assert time.process_time() - started < 1.0
