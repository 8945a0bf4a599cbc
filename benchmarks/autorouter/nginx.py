"""nginx as a router: its geoip2 module says where the caller is, a map which answer he gets."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.autorouter.provinces import Province
from benchmarks.autorouter.tools import NGINX_GEOIP2

_CONFIGURATION = """\
load_module {module};
daemon off;
worker_processes 1;
pid {directory}/nginx.pid;
error_log {directory}/error.log;
events {{ worker_connections 1024; }}
http {{
    access_log {directory}/access.log;
    keepalive_requests 1000000000;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    geoip2 {geoip_file} {{
        $caller_country source=$remote_addr country iso_code;
        $caller_subdivision source=$remote_addr subdivisions 0 iso_code;
    }}
    map_hash_max_size 65536;
    map "$caller_country-$caller_subdivision" $answer {{
        default {default};
{rows}
    }}
    server {{
        listen 127.0.0.1:{port};
        set_real_ip_from 127.0.0.1;
        real_ip_header X-Forwarded-For;
        location = /v1/route {{
            default_type application/json;
            add_header Cache-Control "private, max-age=300";
            return 200 $answer;
        }}
    }}
}}
"""


def configuration(
    directory: Path,
    geoip_file: Path,
    port: int,
    answers: Mapping[Province, Mapping[str, Any]],
    default: Mapping[str, Any],
) -> str:
    """Return an nginx.conf that answers as many provinces as *answers* has, and *default* to all others."""
    rows = [
        f'        "{country}-{subdivision}" {_quoted(answer)};'
        for (country, subdivision), answer in sorted(answers.items())
    ]
    return _CONFIGURATION.format(
        module=NGINX_GEOIP2,
        directory=directory,
        geoip_file=geoip_file,
        port=port,
        default=_quoted(default),
        rows="\n".join(rows),
    )


def _quoted(answer: Mapping[str, Any]) -> str:
    """Write *answer* as JSON in a string of nginx's, where a ``$`` would begin a variable.

    Raises:
        ValueError: it holds one, for which nginx has no escape.
    """
    text = json.dumps(answer, separators=(",", ":"))
    if "$" in text:
        raise ValueError("nginx cannot return a text with a $ in it")
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
