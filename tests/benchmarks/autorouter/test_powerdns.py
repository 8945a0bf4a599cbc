import re
from pathlib import Path

import yaml

from autorouter.choose import Choice, Reason
from benchmarks.autorouter import powerdns
from shared.regions import Region


def choice(name: str) -> Choice:
    region = Region(name, name, "Somewhere", "CA", 0.0, 0.0, f"https://{name}.example")
    return Choice(region, (), None, Reason.COUNTRY)


def test_every_province_maps_to_a_record_that_is_there() -> None:
    choices = {("CA", "ON"): choice("yto-01"), ("CA", "QC"): choice("yul-01"), ("GB", ""): choice("lon-01")}
    text = powerdns.zones(choices, choice("nyc-01"))
    zones = yaml.safe_load(text)
    assert zones["custom_mapping"] == {"ca-on": "yto-01", "ca-qc": "yul-01", "gb": "lon-01"}
    (domain,) = zones["domains"]
    for region in ("yto-01", "yul-01", "lon-01", "nyc-01"):
        assert domain["records"][f"{region}.route.test"] == [{"txt": f"{region} https://{region}.example"}]
    assert domain["services"] == {powerdns.NAME: ["%mp.route.test", "nyc-01.route.test"]}


def test_it_looks_nothing_up_elsewhere_and_answers_the_loopback_only() -> None:
    text = powerdns.configuration(Path("/there"), Path("/geo.mmdb"), 5300)
    settings = dict(re.findall(r"^([\w-]+)=(.*)$", text, re.MULTILINE))
    assert settings["security-poll-suffix"] == ""
    assert settings["local-address"] == "127.0.0.1"
    assert settings["local-port"] == "5300"
    assert settings["edns-subnet-processing"] == "yes"
