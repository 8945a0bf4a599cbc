"""The autorouter's settings."""

import re
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, SecretStr, field_validator, model_validator

from autorouter.cdns import CDNS
from autorouter.networks import Networks
from shared.settings import CommonSettings, HeaderSecret, Port, Seconds, StringList

_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


class AutorouterSettings(CommonSettings):
    autorouter_host: str = Field(default="127.0.0.1", description="Address that the autorouter binds")
    autorouter_port: Port = Field(default=8080, description="Port that the autorouter binds; 0 picks one")
    autorouter_trusted_proxies: StringList = Field(
        default=(),
        description="Networks (CIDR) whose X-Forwarded-For or Forwarded is believed; none by default",
    )
    autorouter_cdn: StringList = Field(
        default=(),
        description="Content delivery networks in front whose viewer headers tell where a caller is: "
        f"{', '.join(CDNS)}. Needs the secret or the networks below; cloudflare-locations is for zones that "
        "add visitor location headers, without which callers could write these",
    )
    autorouter_cdn_secret: HeaderSecret | None = Field(
        default=None,
        description="Secret that such a network adds to every request as a proof; never shown",
    )
    autorouter_cdn_secret_header: str = Field(
        default="X-Origin-Verify", description="The header that carries that secret"
    )
    autorouter_cdn_networks: StringList = Field(
        default=(),
        description="Networks (CIDR) that prove it by the address a request comes from; a secret is better, "
        "since such a network has other customers",
    )
    autorouter_cdn_precision: Literal["subdivision", "coordinates"] = Field(
        default="subdivision",
        description="Where such a network's callers are taken to be: in the middle of their subdivision "
        "(state, province), so that all in it share a cached answer, or at the coordinates that it tells",
    )
    autorouter_poll_seconds: Annotated[Seconds, Field(gt=0)] = Field(
        default=1.0,
        description="How often each edge is asked how it is, give or take a fifth; needs internal_secret",
    )
    autorouter_poll_timeout_seconds: Annotated[Seconds, Field(gt=0)] = Field(
        default=1.0, description="How long an edge may take to answer that before it counts as a miss"
    )
    autorouter_down_after: Annotated[int, Field(ge=1)] = Field(
        default=3, description="Misses in a row after which an edge is taken for down"
    )
    autorouter_up_after: Annotated[int, Field(ge=1)] = Field(
        default=10, description="Answers in a row after which an edge that was down is taken for up again"
    )
    geoip_file: Path | None = Field(
        default=None,
        description="City or Country file in MaxMind's layout (MaxMind, DB-IP); "
        "the one in the cache directory when unset",
    )
    maxmind_account_id: str | None = Field(
        default=None, description="MaxMind account for `nearedge geoip update --source maxmind`"
    )
    maxmind_license_key: SecretStr | None = Field(
        default=None, description="License key of that account; never shown"
    )
    default_region: str | None = Field(
        default=None,
        description="Region to answer with when nobody can tell where a caller is; "
        "the first discoverable one of the regions file when unset",
    )
    route_ttl_seconds: Annotated[int, Field(gt=0)] = Field(
        default=300, description="How long a client may keep an answer of /v1/route"
    )
    route_shared_seconds: Annotated[int, Field(ge=0)] = Field(
        default=15, description="How long a CDN may keep one that its viewer headers alone decide"
    )
    route_stale_seconds: Annotated[int, Field(ge=0)] = Field(
        default=15, description="How long after that it may give it out while it asks for the next"
    )
    route_stale_if_error_seconds: Annotated[int, Field(ge=0)] = Field(
        default=86400, description="How long after that it may give it out while no autorouter answers"
    )

    @field_validator("autorouter_trusted_proxies", "autorouter_cdn_networks")
    @classmethod
    def _are_networks(cls, networks: tuple[str, ...]) -> tuple[str, ...]:
        Networks.of(networks)
        return networks

    @field_validator("autorouter_cdn")
    @classmethod
    def _are_known(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            if name not in CDNS:
                raise ValueError(f"{name!r} is none of {', '.join(CDNS)}")
        told_by: dict[str, str] = {}
        for name in names:
            other = told_by.setdefault(CDNS[name].country, name)
            if other != name:
                raise ValueError(f"{other} and {name} have the same header for the country; name one of them")
        return tuple(dict.fromkeys(names))

    @field_validator("autorouter_cdn_secret_header")
    @classmethod
    def _names_a_header(cls, name: str) -> str:
        if _HEADER_NAME.fullmatch(name) is None:
            raise ValueError("is not the name of a header")
        return name

    @model_validator(mode="after")
    def _cdn_can_be_proven(self) -> Self:
        if self.autorouter_cdn and self.autorouter_cdn_secret is None and not self.autorouter_cdn_networks:
            raise ValueError(
                "NEAREDGE_AUTOROUTER_CDN: anybody can send its headers; set NEAREDGE_AUTOROUTER_CDN_SECRET "
                "or NEAREDGE_AUTOROUTER_CDN_NETWORKS, so that a request can prove that it came through it"
            )
        return self
