"""How ``catalogue.yaml`` must be written."""

from collections.abc import Iterable
from datetime import date
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, model_validator

from edge.models.prices import PriceSpec
from shared.artifacts import SourceError, parse_source

Engine = Literal["llm", "embed", "kokoro", "hibari", "whisper"]
Kind = Literal["chat", "embedding", "tts", "stt"]
Capability = Literal[
    "chat", "completions", "embeddings", "speech", "streaming", "transcription", "translation", "vision"
]
Converter = Literal["bert-gguf", "kokoro-voices", "repacked-gguf"]


def _is_source(text: str) -> str:
    try:
        parse_source(text)
    except SourceError as error:
        raise ValueError(str(error)) from None
    return text


ModelId = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]*$")]
"""Also the name of the model's directory in the cache."""

Alias = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._/-]*$")]
Role = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z_]*$")]
FileName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Text = Annotated[str, StringConstraints(min_length=1)]
Count = Annotated[int, Field(gt=0, strict=True)]
SourceText = Annotated[str, AfterValidator(_is_source)]
Sources = Annotated[list[SourceText | Annotated[list[SourceText], Field(min_length=1)]], Field(min_length=1)]


class Spec(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ContentSpec(Spec):
    """Bytes that are fetched."""

    sha256: Sha256
    bytes: Count
    sources: Sources


class FileSpec(ContentSpec):
    name: FileName


class InputSpec(ContentSpec):
    """With a ``name``, the input stays in the model's directory under it."""

    name: FileName | None = None


class DerivedSpec(Spec):
    name: FileName
    convert: Converter
    inputs: Annotated[
        dict[Annotated[str, StringConstraints(pattern=r"^\w+$")], InputSpec], Field(min_length=1)
    ]

    @model_validator(mode="before")
    @classmethod
    def _spread_each(cls, value: Any) -> Any:
        """Give every input what ``each`` holds, with its own name for ``{input}``."""
        if not isinstance(value, dict) or not isinstance(each := value.get("each"), dict):
            return value
        rest = {key: item for key, item in value.items() if key != "each"}
        if isinstance(inputs := rest.get("inputs"), dict):
            rest["inputs"] = {
                name: _named(each, str(name)) | item if isinstance(item, dict) else item
                for name, item in inputs.items()
            }
        return rest


def _named(value: Any, name: str) -> Any:
    if isinstance(value, dict):
        return {key: _named(item, name) for key, item in value.items()}
    if isinstance(value, list):
        return [_named(item, name) for item in value]
    return value.replace("{input}", name) if isinstance(value, str) else value


class ModelSpec(Spec):
    id: ModelId
    engine: Engine
    kind: Kind
    aliases: list[Alias] = []
    description: Text
    owned_by: Text
    licence: Text
    released: date
    parameters: Count
    context_tokens: Count | None = None
    capabilities: list[Capability]
    options: dict[str, str | int | float | bool] = {}
    prices: PriceSpec = PriceSpec()
    files: dict[Role, FileSpec] = {}
    derived: dict[Role, DerivedSpec] = {}

    @model_validator(mode="after")
    def _files_are_distinct(self) -> Self:
        if "model" not in (roles := [*self.files, *self.derived]):
            raise ValueError("no file has the role 'model'")
        _refuse_doubles("role", roles)
        _refuse_doubles(
            "file name",
            [
                *(item.name for item in self.files.values()),
                *(item.name for item in self.derived.values()),
                *(part.name for item in self.derived.values() for part in item.inputs.values() if part.name),
            ],
        )
        return self


class CatalogueSpec(Spec):
    models: Annotated[list[ModelSpec], Field(min_length=1)]

    @model_validator(mode="after")
    def _names_are_distinct(self) -> Self:
        taken: dict[str, str] = {}
        for model in self.models:
            for name in (model.id, *model.aliases):
                if (other := taken.get(name.lower())) is not None:
                    raise ValueError(f"model {model.id}: the name {name!r} is taken by model {other}")
                taken[name.lower()] = model.id
        return self


def _refuse_doubles(what: str, values: Iterable[str]) -> None:
    seen: set[str] = set()
    for value in values:
        if value in seen:
            raise ValueError(f"the {what} {value!r} is given twice")
        seen.add(value)
