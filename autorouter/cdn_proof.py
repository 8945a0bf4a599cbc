"""How a request proves that it came through the content delivery network."""

import hmac
from collections.abc import Iterable
from dataclasses import dataclass, field

from starlette.datastructures import Headers

from autorouter.networks import Address, Networks


@dataclass(frozen=True, slots=True)
class CdnProof:
    """What is asked of a request. Either is enough: *secret* in the header *header*, which the network adds
    and only it and this service know, or an address of *networks*. Nothing is proven by default.
    """

    header: str = ""
    secret: str | None = field(default=None, repr=False)
    networks: Networks = field(default_factory=Networks)

    def holds(self, headers: Headers, hops: Iterable[Address]) -> bool:
        """Tell whether a request with *headers* that came over *hops* has passed the network.

        *hops* go from the socket towards the caller past trusted proxies only, so each is as sure as the
        socket's own address.
        """
        if self.networks and any(hop in self.networks for hop in hops):
            return True
        if not self.secret:
            return False
        given = headers.getlist(self.header)
        return len(given) == 1 and hmac.compare_digest(given[0].encode("latin-1"), self.secret.encode())
