"""PowerDNS as a router: its GeoIP backend maps the caller's network to a record that names an edge."""

import json
from collections.abc import Mapping
from pathlib import Path

from benchmarks.autorouter.product import Choice
from benchmarks.autorouter.provinces import Province

ZONE = "route.test"
NAME = f"nearest.{ZONE}"
TTL_SECONDS = 300

_CONFIGURATION = """\
launch=geoip
geoip-database-files=mmdb:{geoip_file}
geoip-zones-file={directory}/zones.yaml
edns-subnet-processing=yes
local-address=127.0.0.1
local-port={port}
socket-dir={directory}
receiver-threads=1
distributor-threads=1
security-poll-suffix=
daemon=no
guardian=no
disable-syslog=yes
"""


def configuration(directory: Path, geoip_file: Path, port: int) -> str:
    """Return a pdns.conf. It looks nothing up elsewhere, and has one thread for UDP."""
    return _CONFIGURATION.format(directory=directory, geoip_file=geoip_file, port=port)


def zones(choices: Mapping[Province, Choice], default: Choice) -> str:
    """Return a zone whose one name has, for each province, a text with the id and the URL of its region.

    JSON is YAML too.
    """
    regions = {choice.region.id: choice.region for choice in [*choices.values(), default]}
    records = {
        ZONE: [
            {"soa": f"ns.{ZONE} hostmaster.{ZONE} 1 7200 3600 1209600 {TTL_SECONDS}"},
            {"ns": f"ns.{ZONE}"},
        ],
        **{f"{region.id}.{ZONE}": [{"txt": f"{region.id} {region.url}"}] for region in regions.values()},
    }
    domain = {
        "domain": ZONE,
        "ttl": TTL_SECONDS,
        "records": records,
        "services": {NAME: [f"%mp.{ZONE}", f"{default.region.id}.{ZONE}"]},
    }
    mapping = {
        "-".join(filter(None, province)).lower(): choice.region.id
        for province, choice in sorted(choices.items())
    }
    return json.dumps(
        {"domains": [domain], "mapping_lookup_formats": ["%cc-%re", "%cc"], "custom_mapping": mapping}
    )
