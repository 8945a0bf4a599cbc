"""The programs of the system that are measured or measure."""

import shutil
from collections.abc import Iterable
from pathlib import Path

from benchmarks.processes import BenchmarkError

PACKAGES = {
    "wrk": "wrk",
    "nginx": "nginx",
    "pdns_server": "pdns-server",
    "dnsperf": "dnsperf",
    "taskset": "util-linux",
}
"""Programs, and the packages of Debian that have them."""

NGINX_GEOIP2 = Path("/usr/lib/nginx/modules/ngx_http_geoip2_module.so")
"""Loaded by nginx; of libnginx-mod-http-geoip2."""

_PDNS_GEOIP = "pdns/libgeoipbackend.so"
SEARCHED = "/usr/sbin:/sbin"


def program(name: str) -> str:
    """Return where *name* is, also if it lies where only root has its PATH."""
    return shutil.which(name) or shutil.which(name, path=SEARCHED) or name


def require(names: Iterable[str]) -> None:
    """Check that all programs called *names* are there, and the modules that nginx and PowerDNS load.

    Raises:
        BenchmarkError: some are not; the message has the command that installs them.
    """
    names = list(names)
    missing = [PACKAGES[name] for name in names if not Path(program(name)).is_file()]
    if "nginx" in names and not NGINX_GEOIP2.exists():
        missing.append("libnginx-mod-http-geoip2")
    if "pdns_server" in names and not any(Path("/usr/lib").glob(f"*/{_PDNS_GEOIP}")):
        missing.append("pdns-backend-geoip")
    if missing:
        raise BenchmarkError(
            f"this needs Debian's {', '.join(missing)}: run `apt-get install {' '.join(missing)}` as root"
        )
