"""The autorouter's settings."""

from pathlib import Path
from typing import Annotated

from pydantic import Field, SecretStr, field_validator

from autorouter.client_address import parse_networks
from shared.settings import CommonSettings, Port, StringList


class AutorouterSettings(CommonSettings):
    autorouter_host: str = Field(default="127.0.0.1", description="Address that the autorouter binds")
    autorouter_port: Port = Field(default=8080, description="Port that the autorouter binds; 0 picks one")
    autorouter_trusted_proxies: StringList = Field(
        default=(),
        description="Networks (CIDR) whose X-Forwarded-For is believed; none by default",
    )
    geoip_file: Path | None = Field(
        default=None, description="MaxMind-layout City file; the one in the cache directory when unset"
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

    @field_validator("autorouter_trusted_proxies")
    @classmethod
    def _are_networks(cls, networks: tuple[str, ...]) -> tuple[str, ...]:
        parse_networks(networks)
        return networks
