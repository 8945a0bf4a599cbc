"""The same question over DNS: queries with the caller's network (RFC 7871), and load by ``dnsperf``."""

import re
import struct
import subprocess
from collections.abc import Iterable
from ipaddress import IPv4Address
from pathlib import Path

import dns.edns
import dns.exception
import dns.message
import dns.query
import dns.rdatatype

from benchmarks.autorouter.addresses import Address
from benchmarks.autorouter.cores import pinned
from benchmarks.autorouter.load import Load
from benchmarks.autorouter.tools import program
from benchmarks.processes import BenchmarkError

HOST = "127.0.0.1"
GRACE_SECONDS = 30.0
ASK_SECONDS = 5.0

ANYBODY = IPv4Address("192.0.2.1")
"""An address of which nobody knows where it is (RFC 5737)."""

_LATENCY = re.compile(r"^> (\w+) .* (\d+\.\d+)$", re.MULTILINE)
_COMPLETED = re.compile(r"Queries completed:\s+(\d+)")
_LOST = re.compile(r"Queries lost:\s+(\d+)")
_SECONDS = re.compile(r"Run time \(s\):\s+([\d.]+)")
_CODES = re.compile(r"Response codes:\s+(.*)")


def query(name: str, address: Address) -> dns.message.QueryMessage:
    """Ask for the text at *name* on behalf of *address*, of which resolvers tell the first 24 or 56 bits."""
    return dns.message.make_query(name, "TXT", use_edns=0, options=[dns.edns.ECSOption(str(address))])


def write_queries(name: str, addresses: Iterable[Address], file: Path) -> Path:
    """Write a query for each of *addresses* framed as in DNS over TCP: what ``dnsperf -B`` reads."""
    with file.open("wb") as output:
        for address in addresses:
            wire = query(name, address).to_wire()
            output.write(struct.pack("!H", len(wire)) + wire)
    return file


def text(port: int, name: str, address: Address) -> str:
    """Return the text that the server at *port* gives *address*; empty if it gives none.

    Raises:
        BenchmarkError: it does not answer.
    """
    try:
        answer = dns.query.udp(query(name, address), HOST, port=port, timeout=ASK_SECONDS)
    except (dns.exception.DNSException, OSError) as error:
        raise BenchmarkError(f"the DNS server does not answer: {error}") from None
    for record in answer.answer:
        if record.rdtype == dns.rdatatype.TXT:
            return b" ".join(next(iter(record)).strings).decode()
    return ""


def rate(port: int, queries: Path, *, seconds: int, outstanding: int, core: int) -> Load:
    """Put the *queries* on the server at *port* for as many *seconds*, so many *outstanding* at any time.

    Raises:
        BenchmarkError: ``dnsperf`` fails, or a query does.
    """
    return parse(_run(port, queries, seconds, outstanding, core))


def latencies(port: int, queries: Path, *, seconds: int, outstanding: int, core: int) -> list[float]:
    """Do the same and return the seconds that each answer took.

    It is a run of its own, since writing a line for each answer slows the load down. Raises as :func:`rate`.
    """
    return parse_latencies(_run(port, queries, seconds, outstanding, core, "-v"))


def _run(port: int, queries: Path, seconds: int, outstanding: int, core: int, *flags: str) -> str:
    command = pinned(
        core,
        [
            *(program("dnsperf"), "-s", HOST, "-p", str(port), "-d", str(queries), "-B", *flags),
            *("-c", str(outstanding), "-q", str(outstanding), "-T", "1", "-l", str(seconds)),
        ],
    )
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=seconds + GRACE_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        raise BenchmarkError(f"dnsperf did not end within {seconds + GRACE_SECONDS:g} s") from None
    if done.returncode != 0:
        raise BenchmarkError(f"dnsperf failed with {done.returncode}: {done.stderr.strip()}")
    return done.stdout


def parse(output: str) -> Load:
    """Read the statistics that ``dnsperf`` ends with; they hold no percentiles.

    Raises:
        BenchmarkError: there are none, or a query was lost or refused.
    """
    found = [pattern.search(output) for pattern in (_COMPLETED, _LOST, _SECONDS, _CODES)]
    if not all(found):
        raise BenchmarkError(f"dnsperf printed no result:\n{output}")
    completed, lost, seconds, codes = (match[1] for match in found if match is not None)
    if int(lost) or not int(completed) or not codes.startswith("NOERROR") or "," in codes:
        raise BenchmarkError(f"{lost} of {completed} queries were lost; answers: {codes}")
    return Load(int(completed), float(seconds), 0.0, 0.0)


def parse_latencies(output: str) -> list[float]:
    """Return the seconds that each answer took, from what ``dnsperf -v`` prints.

    Raises:
        BenchmarkError: there are none.
    """
    seconds = [float(latency) for _, latency in _LATENCY.findall(output)]
    if not seconds:
        raise BenchmarkError("dnsperf told no latencies")
    return seconds
