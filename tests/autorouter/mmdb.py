"""Writes small files in MaxMind's layout, for records that no published file holds.

The format: https://maxmind.github.io/MaxMind-DB/ (24-bit records, no pointers).
"""

import struct
from collections.abc import Mapping
from ipaddress import ip_network
from pathlib import Path

EMPTY = -1
UINT16, UINT32, UINT64 = 5, 6, 9
INTEGERS = {"node_count": UINT32, "build_epoch": UINT64}
"""The types that the reader insists on for the metadata's numbers."""


def write(
    path: Path,
    records: Mapping[str, object],
    *,
    database_type: str = "Test-City",
    ip_version: int = 6,
    build_epoch: int = 1_600_000_000,
) -> Path:
    """Write *records*, by network, to *path* and return it."""
    nodes: list[list[int]] = [[EMPTY, EMPTY]]
    leaves: dict[tuple[int, int], int] = {}
    data = bytearray()
    for text, record in records.items():
        network = ip_network(text)
        bits = f"{int(network.network_address):0{network.max_prefixlen}b}"[: network.prefixlen]
        if ip_version == 6 and network.version == 4:
            bits = "0" * 96 + bits
        node = 0
        for bit in map(int, bits[:-1]):
            if nodes[node][bit] == EMPTY:
                nodes.append([EMPTY, EMPTY])
                nodes[node][bit] = len(nodes) - 1
            node = nodes[node][bit]
        leaves[node, int(bits[-1])] = len(data)
        data += _encode(record)
    count = len(nodes)
    tree = bytearray()
    for index, children in enumerate(nodes):
        for bit, child in enumerate(children):
            offset = leaves.get((index, bit))
            value = child if child != EMPTY else count if offset is None else count + 16 + offset
            tree += value.to_bytes(3, "big")
    metadata = {
        "binary_format_major_version": 2,
        "binary_format_minor_version": 0,
        "build_epoch": build_epoch,
        "database_type": database_type,
        "description": {"en": "a test"},
        "ip_version": ip_version,
        "languages": ["en"],
        "node_count": count,
        "record_size": 24,
    }
    path.write_bytes(tree + bytes(16) + data + b"\xab\xcd\xefMaxMind.com" + _encode(metadata))
    return path


def _encode(value: object, integer: int = UINT16) -> bytes:
    match value:
        case str():
            raw = value.encode()
            return _control(2, len(raw)) + raw
        case bool():
            return _control(14, int(value))
        case float():
            return _control(3, 8) + struct.pack(">d", value)
        case int():
            raw = value.to_bytes((value.bit_length() + 7) // 8, "big")
            return _control(integer if len(raw) <= 2 else max(integer, UINT32), len(raw)) + raw
        case dict():
            pairs = (_encode(k) + _encode(v, INTEGERS.get(k, UINT16)) for k, v in value.items())
            return _control(7, len(value)) + b"".join(pairs)
        case list():
            return _control(11, len(value)) + b"".join(map(_encode, value))
    raise TypeError(f"no encoding for {value!r}")


def _control(kind: int, size: int) -> bytes:
    assert size < 285
    short, more = (size, b"") if size < 29 else (29, bytes([size - 29]))
    return (bytes([kind << 5 | short]) if kind <= 7 else bytes([short, kind - 7])) + more
