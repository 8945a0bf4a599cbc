"""The models that an edge can run, and where their files come from."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from importlib.resources import files as package_files
from pathlib import Path
from typing import Any, Self

import yaml
from pydantic import ValidationError

from edge.models.prices import FREE, Price
from edge.models.schema import CatalogueSpec, ContentSpec, Converter, Engine, Kind, ModelSpec
from shared.artifacts import Artifact, Origin, parse_source
from shared.validation import reason


class CatalogueError(Exception):
    """The catalogue cannot be used; the message names the model and the field at fault."""


@dataclass(frozen=True, slots=True)
class Derived:
    """A file that *convert* makes at pull time out of *inputs*."""

    name: str
    convert: Converter
    inputs: Mapping[str, Artifact]
    kept: frozenset[str] = frozenset()
    """Names of the inputs that stay in the model's directory, under the names of their artifacts."""

    @property
    def kept_inputs(self) -> tuple[Artifact, ...]:
        return tuple(item for name, item in self.inputs.items() if name in self.kept)


@dataclass(frozen=True, slots=True)
class CatalogueModel:
    """One model. ``files`` and ``derived`` map roles, such as ``model``, to what the engine reads."""

    id: str
    engine: Engine
    kind: Kind
    aliases: tuple[str, ...]
    description: str
    owned_by: str
    licence: str
    created: int
    """Day of publication, in seconds since 1970."""
    parameters: int
    context_tokens: int | None
    """None where a context has no meaning to a caller, as in speech."""
    capabilities: frozenset[str]
    options: Mapping[str, Any]
    files: Mapping[str, Artifact]
    derived: Mapping[str, Derived]
    price: Price = FREE

    @property
    def pieces(self) -> tuple[Artifact | Derived, ...]:
        """Every file that lies in the model's directory."""
        return (*self.placed, *self.derived.values())

    @property
    def placed(self) -> tuple[Artifact, ...]:
        """Every file that lies in the model's directory as it was fetched."""
        return (*self.files.values(), *(part for item in self.derived.values() for part in item.kept_inputs))

    @property
    def artifacts(self) -> list[Artifact]:
        """Everything that a pull fetches."""
        inputs = [item for made in self.derived.values() for item in made.inputs.values()]
        return [*self.files.values(), *inputs]

    @property
    def fetched_bytes(self) -> int:
        return sum(item.bytes for item in self.artifacts)


class Catalogue:
    """The models by id and alias, whose letter case does not matter."""

    def __init__(self, models: tuple[CatalogueModel, ...]) -> None:
        self._models = models
        self._by_name = {name.lower(): model for model in models for name in (model.id, *model.aliases)}

    def __iter__(self) -> Iterator[CatalogueModel]:
        return iter(self._models)

    def resolve(self, name: str) -> CatalogueModel | None:
        """Return the model whose id or alias is *name*."""
        return self._by_name.get(name.lower())

    def priced(self, prices: Mapping[str, Price]) -> Self:
        """Return the same models, those whose ids are in *prices* with these instead of their own."""
        return type(self)(
            tuple(replace(model, price=prices.get(model.id, model.price)) for model in self._models)
        )


def load_catalogue(file: Path | None = None) -> Catalogue:
    """Read the shipped catalogue, or *file*.

    Raises:
        CatalogueError: the file cannot be read, or an entry of it is wrong.
    """
    try:
        source = file or package_files("edge.models") / "catalogue.yaml"
        content = yaml.safe_load(source.read_text("utf-8"))
        spec = CatalogueSpec.model_validate(content)
    except OSError as error:
        raise CatalogueError(f"the catalogue {file} cannot be read: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise CatalogueError(f"the catalogue is not YAML: {error}") from None
    except ValidationError as error:
        raise CatalogueError(_explain(error, content)) from None
    return Catalogue(tuple(_model(item) for item in spec.models))


def _model(spec: ModelSpec) -> CatalogueModel:
    return CatalogueModel(
        id=spec.id,
        engine=spec.engine,
        kind=spec.kind,
        aliases=tuple(spec.aliases),
        description=spec.description,
        owned_by=spec.owned_by,
        licence=spec.licence,
        created=_seconds(spec.released),
        parameters=spec.parameters,
        context_tokens=spec.context_tokens,
        capabilities=frozenset(spec.capabilities),
        options=spec.options,
        files={role: _artifact(item.name, item) for role, item in spec.files.items()},
        derived={
            role: Derived(
                item.name,
                item.convert,
                {
                    name: _artifact(given.name or f"{item.name} ({name})", given)
                    for name, given in item.inputs.items()
                },
                frozenset(name for name, given in item.inputs.items() if given.name),
            )
            for role, item in spec.derived.items()
        },
        price=spec.prices.price,
    )


def _seconds(day: date) -> int:
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp())


def _artifact(name: str, spec: ContentSpec) -> Artifact:
    return Artifact(name, spec.sha256, spec.bytes, tuple(map(_origin, spec.sources)))


def _origin(source: str | list[str]) -> Origin:
    return tuple(map(parse_source, [source] if isinstance(source, str) else source))


def _explain(error: ValidationError, content: object) -> str:
    return "; ".join(f"{_where(item['loc'], content)}{reason(item)}" for item in error.errors())


def _where(location: tuple[int | str, ...], content: object) -> str:
    """Name the model and the field that *location* points into."""
    match location:
        case ("models", int(index), *field):
            entry = content["models"][index] if isinstance(content, dict) else None
            name = entry.get("id") if isinstance(entry, dict) else None
            parts = [f"model {name or f'number {index + 1}'}", ".".join(map(str, field))]
            return ", ".join(filter(None, parts)) + ": "
        case _:
            return "".join(f"{part}: " for part in location)
