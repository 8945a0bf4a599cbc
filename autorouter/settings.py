"""The autorouter's settings."""

from pathlib import Path
from typing import Annotated

from pydantic import Field, SecretStr, field_validator

from autorouter.client_address import parse_networks
from shared.settings import CommonSettings, Port, Seconds, StringList


class AutorouterSettings(CommonSettings):
    autorouter_host: str = Field(default="127.0.0.1", description="Address that the autorouter binds")
    autorouter_port: Port = Field(default=8080, description="Port that the autorouter binds; 0 picks one")
    autorouter_trusted_proxies: StringList = Field(
        default=(),
        description="Networks (CIDR) whose X-Forwarded-For is believed; none by default",
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

    @field_validator("autorouter_trusted_proxies")
    @classmethod
    def _are_networks(cls, networks: tuple[str, ...]) -> tuple[str, ...]:
        parse_networks(networks)
        return networks
