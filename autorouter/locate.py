"""Where a caller is: what a trusted content delivery network says, else the GeoIP file."""

from dataclasses import dataclass, field
from typing import Literal, Self

from starlette.datastructures import Headers

from autorouter import subdivisions
from autorouter.cdn_proof import CdnProof
from autorouter.cdns import CDNS, ViewerHeaders
from autorouter.client_address import Trail, client_trail
from autorouter.geoip import GeoIP
from autorouter.location import Location, Source
from autorouter.networks import Address, Networks
from autorouter.place import Place
from autorouter.settings import AutorouterSettings
from autorouter.viewer_headers import Viewer, read_viewer

Precision = Literal["subdivision", "coordinates"]

NOWHERE = Location(None, Source.NONE)


@dataclass(frozen=True, slots=True)
class Locator:
    """Tells where callers are. ``cdns`` are the networks whose headers count in a request that ``proof``
    holds for; with precision ``subdivision`` all that are in one province are at one place.
    """

    geoip: GeoIP
    trusted_proxies: Networks = field(default_factory=Networks)
    cdns: tuple[ViewerHeaders, ...] = ()
    proof: CdnProof = field(default_factory=CdnProof)
    precision: Precision = "subdivision"

    @classmethod
    def of(cls, settings: AutorouterSettings, geoip: GeoIP) -> Self:
        """Take who is trusted from *settings*."""
        secret = settings.autorouter_cdn_secret
        if settings.autorouter_cdn:
            subdivisions.middles()  # now, so that no request waits for it
        return cls(
            geoip=geoip,
            trusted_proxies=Networks.of(settings.autorouter_trusted_proxies),
            cdns=tuple(CDNS[name] for name in settings.autorouter_cdn),
            proof=CdnProof(
                header=settings.autorouter_cdn_secret_header,
                secret=secret.get_secret_value() if secret is not None else None,
                networks=Networks.of(settings.autorouter_cdn_networks),
            ),
            precision=settings.autorouter_cdn_precision,
        )

    def locate(self, headers: Headers, peer: str | None) -> Location:
        """Return where the caller is who sent *headers* from the socket's address *peer*.

        Who came through a content delivery network that does not say where he is, is nowhere: addresses
        lead to the network's own machines.
        """
        trail = self._trail(headers, peer)
        if not self.cdns or not self.proof.holds(headers, trail.hops):
            return self._of_address(trail.caller)
        names = self._only_one_that_speaks(headers)
        if names is None:
            return NOWHERE
        viewer = read_viewer(headers, names)
        if viewer.country is not None:
            return self._of_viewer(viewer, viewer.country, names)
        return self._of_address(viewer.address)

    def _trail(self, headers: Headers, peer: str | None) -> Trail:
        if not self.trusted_proxies:
            return client_trail(peer, self.trusted_proxies)
        return client_trail(
            peer,
            self.trusted_proxies,
            x_forwarded_for=headers.getlist("x-forwarded-for"),
            forwarded=headers.getlist("forwarded"),
        )

    def _only_one_that_speaks(self, headers: Headers) -> ViewerHeaders | None:
        """Return the network that tells a country, or failing that an address.

        None if several do: each passes on what the caller wrote under the others' names.
        """
        for speaking in (
            [names for names in self.cdns if names.country in headers],
            [names for names in self.cdns if names.address is not None and names.address in headers],
        ):
            if speaking:
                return speaking[0] if len(speaking) == 1 else None
        return None

    def _of_viewer(self, viewer: Viewer, country: str, names: ViewerHeaders) -> Location:
        subdivision = viewer.subdivision
        if self.precision == "subdivision":
            place = in_the_middle(country, subdivision)
            return Location(place, Source.CDN, shared=True, vary=names.of_subdivision)
        if viewer.coordinates is not None:
            place = Place(country, subdivision, *viewer.coordinates)
            return Location(place, Source.CDN, shared=True, vary=names.of_coordinates)
        by_address = self.geoip.place(viewer.address) if viewer.address is not None else None
        if by_address is None or by_address.country != country or by_address.lat is None:
            return Location(in_the_middle(country, subdivision), Source.CDN)
        return Location(Place(country, subdivision, by_address.lat, by_address.lon), Source.CDN)

    def _of_address(self, address: Address | None) -> Location:
        place = self.geoip.place(address) if address is not None else None
        return Location(place, Source.GEOIP) if place is not None else NOWHERE


def in_the_middle(country: str, subdivision: str | None) -> Place:
    """Return the one place of all whom a network puts into *subdivision*, or only into *country*."""
    middle = subdivisions.subdivision_middle(country, subdivision) if subdivision is not None else None
    lat, lon = middle if middle is not None else (None, None)
    return Place(country, subdivision, lat, lon)


def cdn_place(place: Place | None, settings: AutorouterSettings) -> Place | None:
    """Return where a caller at *place* is to the autorouter if he asks through a network that *settings*
    name; None if they name none, or if that hangs on more than his subdivision.
    """
    cdns = [CDNS[name] for name in settings.autorouter_cdn]
    if not cdns or settings.autorouter_cdn_precision != "subdivision":
        return None
    if place is None or place.country is None:
        return None
    told = any(names.subdivision is not None for names in cdns)
    return in_the_middle(place.country, place.subdivision if told else None)
