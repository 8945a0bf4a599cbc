import random

import jsonschema
import pytest

from edge.engines.llm.json_schema.formats import FREE, INTEGER_BITS, NAMES, format_pattern
from edge.engines.llm.json_schema.probe import Probe
from tests.edge.engines.llm.writing import Writer, valid

EXAMPLES: dict[str, tuple[list[str], list[str]]] = {
    "date": (
        ["2024-02-29", "2000-02-29", "1999-12-31"],
        ["1900-02-29", "2023-02-29", "0000-01-01", "2024-04-31", "24-01-01"],
    ),
    "time": (["23:59:59Z", "00:00:00.5+02:00"], ["24:00:00Z", "23:59:60Z", "12:00:00", "12:00Z"]),
    "date-time": (["2024-02-29T12:00:00Z"], ["2024-02-30T12:00:00Z", "2024-02-29 12:00:00Z", "2024-02-29"]),
    "duration": (["P3DT4H", "PT5S", "P2W", "P1Y2M3D"], ["P", "PT", "3D", "P1Y2D", "P1W2D"]),
    "email": (["ann.lee@example.com"], ["ann", "@example.com", "a..b@example.com", "a b@example.com"]),
    "hostname": (["example.com", "a-b.c1.org"], ["-a.com", "a_b.com", "a..com", "a.com."]),
    "ipv4": (["0.0.0.0", "255.255.255.255"], ["256.1.1.1", "1.2.3", "01.2.3.4"]),
    "ipv6": (
        ["::", "::1", "1::", "1:2:3:4:5:6:7:8", "fe80::1:2"],
        ["1:2:3:4:5:6:7", "1::2::3", ":::", "12345::", "1:2:3:4:5:6:7:8:9"],
    ),
    "uuid": (["123e4567-e89b-12d3-a456-426614174000"], ["123e4567e89b12d3a456426614174000", "123"]),
    "uri": (
        ["https://example.com/a?b=c#d", "mailto:a@example.com", "urn:isbn:1"],
        ["example.com", "http://a b", "//x"],
    ),
    "json-pointer": (["", "/a/b~1c"], ["a", "/~2"]),
    "relative-json-pointer": (["0", "1/a", "2#"], ["", "01", "/a"]),
    "byte": (["", "aGk=", "aGkh", "aA=="], ["aGk", "a", "aGl=", "a-b="]),
}


@pytest.mark.parametrize("name", sorted(EXAMPLES))
def test_examples(name: str) -> None:
    pattern, probe = format_pattern(name), Probe()
    assert pattern is not None
    good, bad = EXAMPLES[name]
    assert [text for text in good if not probe.certainly(pattern, text)] == []
    assert [text for text in bad if probe.certainly(pattern, text)] == []


def test_every_known_format_of_strings_is_tried_or_a_variant() -> None:
    variants = {"idn-email", "idn-hostname", "iri", "iri-reference", "uri-reference", "uri-template"}
    assert set(EXAMPLES) | variants | set(INTEGER_BITS) | FREE == NAMES


@pytest.mark.parametrize("name", sorted(NAMES - INTEGER_BITS.keys() - {"float", "double"}))
def test_what_is_written_passes_the_checker(name: str, writer: Writer) -> None:
    schema = {"type": "string", "format": name}
    for seed in range(12):
        constraint = writer.constraints.json(schema, param="response_format")
        valid(schema, writer.write(constraint, random.Random(seed), limit=2_000))


def test_the_checker_knows_the_formats_that_matter_most() -> None:
    known = jsonschema.Draft202012Validator.FORMAT_CHECKER.checkers
    assert {"date", "date-time", "time", "email", "ipv4", "ipv6", "uuid"} <= set(known)
