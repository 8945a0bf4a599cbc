import struct
import threading
from collections.abc import Iterator
from ipaddress import IPv4Address, ip_address
from pathlib import Path
from socket import AF_INET, SOCK_DGRAM, socket

import dns.edns
import dns.message
import dns.rrset
import pytest

from benchmarks.autorouter import dnsperf
from benchmarks.autorouter.load import Load
from benchmarks.processes import BenchmarkError

OUTPUT = """DNS Performance Testing Tool
Version 2.10.0

Statistics:

  Queries sent:         58430
  Queries completed:    58429 (100.00%)
  Queries lost:         0 (0.00%)

  Response codes:       NOERROR 58429 (100.00%)
  Average packet size:  request 58, response 114
  Run time (s):         2.000107
  Queries per second:   29212.937108

  Average Latency (s):  0.000982 (min 0.000059, max 0.011641)
  Latency StdDev (s):   0.000495
"""
NAME = "nearest.route.test"


def test_rate_is_read() -> None:
    found = dnsperf.parse(OUTPUT)
    assert found == Load(requests=58429, seconds=2.000107, p50_ms=0.0, p99_ms=0.0)
    assert round(found.per_second) == 29213


@pytest.mark.parametrize(
    "output",
    [
        OUTPUT.replace("lost:         0", "lost:         7"),
        OUTPUT.replace("NOERROR 58429 (100.00%)", "NOERROR 58000 (99.27%), SERVFAIL 429 (0.73%)"),
        OUTPUT.replace("NOERROR", "REFUSED"),
        OUTPUT.replace("completed:    58429", "completed:    0"),
        "",
    ],
)
def test_queries_that_are_not_answered_fail_the_measurement(output: str) -> None:
    with pytest.raises(BenchmarkError):
        dnsperf.parse(output)


def test_latencies_are_read_line_by_line() -> None:
    lines = "> NOERROR binary input 0.000225\n> NOERROR binary input 0.001118\n[Status] Testing complete\n"
    assert dnsperf.parse_latencies(lines) == [0.000225, 0.001118]
    with pytest.raises(BenchmarkError):
        dnsperf.parse_latencies(OUTPUT)


def test_queries_carry_the_callers_network_and_are_framed(tmp_path: Path) -> None:
    addresses = [ip_address("99.230.1.77"), ip_address("2607:fea8:1:2:3::4")]
    wire = dnsperf.write_queries(NAME, addresses, tmp_path / "queries").read_bytes()
    networks = []
    while wire:
        (length,) = struct.unpack("!H", wire[:2])
        query = dns.message.from_wire(wire[2 : 2 + length])
        assert query.question[0].to_text() == f"{NAME}. IN TXT"
        (option,) = query.options
        assert isinstance(option, dns.edns.ECSOption)
        networks.append((option.address, option.srclen))
        wire = wire[2 + length :]
    assert networks == [("99.230.1.0", 24), ("2607:fea8:1::", 56)]


@pytest.fixture
def resolver() -> Iterator[int]:
    """The port of a server that answers one query with the caller's network."""
    with socket(AF_INET, SOCK_DGRAM) as server:
        server.bind((dnsperf.HOST, 0))
        server.settimeout(10)

        def answer() -> None:
            wire, peer = server.recvfrom(4096)
            query = dns.message.from_wire(wire)
            (option,) = query.options
            assert isinstance(option, dns.edns.ECSOption)
            said = dns.message.make_response(query)
            said.answer.append(dns.rrset.from_text(f"{NAME}.", 300, "IN", "TXT", f'"of {option.address}"'))
            server.sendto(said.to_wire(), peer)

        thread = threading.Thread(target=answer)
        thread.start()
        yield server.getsockname()[1]
        thread.join()


def test_one_answer_is_read(resolver: int) -> None:
    assert dnsperf.text(resolver, NAME, IPv4Address("99.230.1.77")) == "of 99.230.1.0"


def test_a_server_that_is_not_there_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dnsperf, "ASK_SECONDS", 0.2)
    with socket(AF_INET, SOCK_DGRAM) as silent:
        silent.bind((dnsperf.HOST, 0))
        with pytest.raises(BenchmarkError, match="does not answer"):
            dnsperf.text(silent.getsockname()[1], NAME, dnsperf.ANYBODY)
