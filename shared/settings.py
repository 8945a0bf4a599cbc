"""Settings that both services read, and how settings are read at all.

A setting is a field of a frozen pydantic model. Its value comes from the variable ``NEAREDGE_<NAME>``,
else from the settings file, else from its default. A service adds its own fields in a subclass; the
``nearedge`` command joins the subclasses, so that one file serves a machine that runs both.
"""

import os
import ssl
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar, get_args

import platformdirs
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    model_validator,
)
from pydantic_core import ErrorDetails

from shared.validation import reason

PREFIX = "NEAREDGE_"
FILE_VARIABLE = "NEAREDGE_CONFIG"
"""Names the settings file; the one variable that is not itself a setting."""


class SettingsError(Exception):
    """The settings cannot be used; the message names each one at fault and what is wrong with it."""


def split_list(value: object) -> object:
    """Return the parts of a text with commas; anything else as it is."""
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return value


StringList = Annotated[tuple[str, ...], BeforeValidator(split_list)]
"""A list in the settings file, ``a,b`` in a variable."""


def _fits_a_header(secret: SecretStr) -> SecretStr:
    text = secret.get_secret_value()
    if not text or not text.isascii() or not text.isprintable() or " " in text:
        raise ValueError("must be printable ASCII characters without spaces, at least one")
    return secret


HeaderSecret = Annotated[SecretStr, AfterValidator(_fits_a_header)]
"""A secret that arrives in a header as it was sent."""

ByteCount = Annotated[int, Field(gt=0)]
Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Port = Annotated[int, Field(ge=0, le=65535)]


class CommonSettings(BaseModel):
    """What both services and the command read."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    home: Path = Field(
        default=Path(platformdirs.user_data_dir("nearedge")),
        description="Directory of this node's state: the database and the local grid's files",
    )
    cache: Path = Field(
        default=Path(platformdirs.user_cache_dir("nearedge")),
        description="Directory of downloaded models and GeoIP files; may be deleted at any time",
    )
    regions_file: Path | None = Field(
        default=None, description="The grid's regions.yaml; the shipped one when unset"
    )
    internal_secret: HeaderSecret | None = Field(
        default=None,
        description="Secret that the autorouter and every edge share; edges tell their state only to who has "
        "it, and without it the autorouter does not watch them",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="Least severe log line that is written"
    )
    log_format: Literal["auto", "console", "json"] = Field(
        default="auto", description="Log lines for people or machines; auto is console on a terminal"
    )
    tls_cert: Path | None = Field(default=None, description="PEM file of the TLS certificate chain")
    tls_key: Path | None = Field(default=None, description="PEM file of the certificate's private key")
    drain_delay_seconds: Seconds = Field(
        default=2.0,
        description="After SIGTERM, how long readiness fails while requests are still taken",
    )
    drain_seconds: Seconds = Field(
        default=30.0, description="After that, how long running requests and streams may take to finish"
    )
    body_read_seconds: Annotated[Seconds, Field(gt=0)] = Field(
        default=30.0, description="How long a request's body may take to arrive; 408 after it"
    )

    @model_validator(mode="after")
    def _tls_is_whole(self) -> Self:
        if (self.tls_cert is None) != (self.tls_key is None):
            raise ValueError("NEAREDGE_TLS_CERT and NEAREDGE_TLS_KEY must be set together")
        if self.tls_cert is not None and self.tls_key is not None:
            _check_tls(self.tls_cert, self.tls_key)
        return self


def _check_tls(cert: Path, key: Path) -> None:
    for name, file in (("TLS_CERT", cert), ("TLS_KEY", key)):
        try:
            file.open("rb").close()
        except OSError as error:
            raise ValueError(f"{PREFIX}{name}: {file} cannot be read: {error.strerror}") from None
    try:
        # An empty password, where OpenSSL would ask the terminal for one.
        ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(cert, key, password="")
    except ssl.SSLError as error:
        raise ValueError(
            f"NEAREDGE_TLS_CERT and NEAREDGE_TLS_KEY: {cert} and {key} are no pair: {error}"
        ) from None


S = TypeVar("S", bound=CommonSettings)


@dataclass(frozen=True, slots=True)
class SettingInfo:
    """One setting as ``nearedge settings`` lists it."""

    name: str
    variable: str
    default: str
    description: str


def describe(model: type[CommonSettings]) -> Iterator[SettingInfo]:
    """Yield every setting of *model* in the order of declaration."""
    for name, info in model.model_fields.items():
        yield SettingInfo(name, PREFIX + name.upper(), _show(info.default), info.description or "")


def _show(value: object) -> str:
    """Write *value* for a person; a secret becomes stars."""
    if value is None:
        return "(unset)"
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    return str(value)


def load(
    model: type[S],
    environ: Mapping[str, str],
    *,
    file: Path | None = None,
    overrides: Mapping[str, Any] | None = None,
) -> S:
    """Read the settings of *model* from *overrides*, *environ* and a TOML file, in that order of weight.

    The file is *file*, else the one that ``NEAREDGE_CONFIG`` names, else there is none.

    Raises:
        SettingsError: a setting is unknown or invalid, or the file cannot be read.
    """
    if file is None and environ.get(FILE_VARIABLE):
        file = Path(environ[FILE_VARIABLE])
    values = _from_file(model, file) if file is not None else {}
    values |= _from_environment(model, environ)
    values |= {name: value for name, value in (overrides or {}).items() if value is not None}
    try:
        return model(**values)
    except ValidationError as error:
        raise SettingsError("; ".join(_explain(model, item) for item in error.errors())) from None


def _from_environment(model: type[CommonSettings], environ: Mapping[str, str]) -> dict[str, Any]:
    names = {PREFIX + name.upper(): name for name in model.model_fields}
    given = {key: value for key, value in environ.items() if key.startswith(PREFIX) and key != FILE_VARIABLE}
    _refuse_unknown(sorted(given.keys() - names.keys()), "the environment")
    return {names[key]: value for key, value in given.items()}


def _from_file(model: type[CommonSettings], file: Path) -> dict[str, Any]:
    try:
        values = tomllib.loads(file.read_text("utf-8"))
    except OSError as error:
        raise SettingsError(f"the settings file {file} cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"the settings file {file} is not TOML: {error}") from None
    _refuse_unknown(sorted(values.keys() - model.model_fields.keys()), str(file))
    return values


def _refuse_unknown(names: Sequence[str], where: str) -> None:
    if names:
        raise SettingsError(
            f"unknown setting {', '.join(names)} in {where}; `nearedge settings` lists the known ones"
        )


def _explain(model: type[CommonSettings], item: ErrorDetails) -> str:
    name = ".".join(str(part) for part in item["loc"][:1])
    message = reason(item)
    if not name:
        return message
    got = "" if _is_secret(model, name) else f" (got {item['input']!r})"
    return f"{PREFIX}{name.upper()}: {message}{got}"


def _is_secret(model: type[CommonSettings], name: str) -> bool:
    return _holds_a_secret(model.model_fields[name].annotation)


def _holds_a_secret(annotation: object) -> bool:
    return annotation is SecretStr or any(map(_holds_a_secret, get_args(annotation)))


def environment_for(values: Mapping[str, Any]) -> dict[str, str]:
    """Return this process's environment with *values* set as settings, to start another service with.

    A value of None leaves its setting as it is.
    """
    plain = {
        name: value.get_secret_value() if isinstance(value, SecretStr) else value
        for name, value in values.items()
        if value is not None
    }
    return os.environ | {PREFIX + name.upper(): _show(value) for name, value in plain.items()}
