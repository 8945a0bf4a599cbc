from pathlib import Path

import pytest

from benchmarks.autorouter import nginx


def test_every_province_has_its_answer_and_others_the_default() -> None:
    answers = {("CA", "ON"): {"region": "yto-01"}, ("GB", ""): {"region": "lon-01"}}
    text = nginx.configuration(Path("/there"), Path("/geo.mmdb"), 8123, answers, {"region": "nyc-01"})
    lines = [line.strip() for line in text.splitlines()]
    assert """"CA-ON" '{"region":"yto-01"}';""" in lines
    assert """"GB-" '{"region":"lon-01"}';""" in lines
    assert """default '{"region":"nyc-01"}';""" in lines
    assert "listen 127.0.0.1:8123;" in lines
    assert "geoip2 /geo.mmdb {" in lines
    assert text.count("{") == text.count("}")


def test_an_answer_cannot_break_out_of_its_string() -> None:
    answers = {("FR", ""): {"name": "L'Isle \\ “x”"}}
    text = nginx.configuration(Path("/there"), Path("/geo.mmdb"), 8123, answers, {})
    assert "L\\'Isle \\\\\\\\ " in text
    with pytest.raises(ValueError, match=r"\$"):
        nginx.configuration(Path("/there"), Path("/geo.mmdb"), 8123, {}, {"name": "$host"})
