"""The content delivery networks whose word on where a viewer is can be taken."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ViewerHeaders:
    """The names of one network's headers; None where it has none of the kind."""

    country: str
    subdivision: str | None = None
    latitude: str | None = None
    longitude: str | None = None
    address: str | None = None
    address_has_port: bool = False

    @property
    def of_subdivision(self) -> tuple[str, ...]:
        """Those that tell country and subdivision."""
        return tuple(name for name in (self.country, self.subdivision) if name is not None)

    @property
    def of_coordinates(self) -> tuple[str, ...]:
        """Those that tell country, subdivision and coordinates."""
        return self.of_subdivision + tuple(
            name for name in (self.latitude, self.longitude) if name is not None
        )


CDNS: Mapping[str, ViewerHeaders] = {
    # https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/adding-cloudfront-headers.html
    "cloudfront": ViewerHeaders(
        country="CloudFront-Viewer-Country",
        subdivision="CloudFront-Viewer-Country-Region",
        latitude="CloudFront-Viewer-Latitude",
        longitude="CloudFront-Viewer-Longitude",
        address="CloudFront-Viewer-Address",
        address_has_port=True,
    ),
    # https://developers.cloudflare.com/fundamentals/reference/http-headers/: the country is XX for unknown
    # and T1 for Tor.
    "cloudflare": ViewerHeaders(country="CF-IPCountry", address="CF-Connecting-IP"),
    # https://developers.cloudflare.com/rules/transform/managed-transforms/reference/: zones that "add visitor
    # location headers". In any other these are what the caller wrote.
    "cloudflare-locations": ViewerHeaders(
        country="CF-IPCountry",
        subdivision="CF-Region-Code",
        latitude="CF-IPLatitude",
        longitude="CF-IPLongitude",
        address="CF-Connecting-IP",
    ),
    # https://vercel.com/docs/headers/request-headers
    "vercel": ViewerHeaders(
        country="X-Vercel-IP-Country",
        subdivision="X-Vercel-IP-Country-Region",
        latitude="X-Vercel-IP-Latitude",
        longitude="X-Vercel-IP-Longitude",
        address="X-Real-IP",
    ),
    # https://bunny.net/docs/cdn/request-headers-to-origin
    "bunny": ViewerHeaders(
        country="CDN-RequestCountryCode",
        subdivision="CDN-RequestStateCode",
        address="X-Real-IP",
    ),
}
"""By the name that the setting gives them. A proxy of one's own does best to write CloudFront's."""
