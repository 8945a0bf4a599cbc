"""Where a request comes from."""

from starlette.datastructures import Headers

from autorouter.client_address import Network, client_address
from autorouter.geoip import GeoIP
from autorouter.location import Location, Source


class Locator:
    def __init__(self, geoip: GeoIP, trusted_proxies: tuple[Network, ...]) -> None:
        self._geoip = geoip
        self._trusted_proxies = trusted_proxies

    def locate(self, headers: Headers, peer: str | None) -> Location:
        address = client_address(peer, headers.getlist("x-forwarded-for"), self._trusted_proxies)
        place = self._geoip.place(address) if address is not None else None
        return Location(place, Source.GEOIP if place is not None else Source.NONE)
