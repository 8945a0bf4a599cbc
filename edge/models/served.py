"""The models that this edge serves, found by any of their names."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

from edge.errors import InvalidField, ModelNotFound, ModelNotLoaded
from edge.models.catalogue import Catalogue, CatalogueModel
from edge.models.gguf_header import read_header
from edge.models.kv_plan import kv_plan
from edge.models.memory import SystemMemory, cache_bytes
from edge.models.pull import installed, paths
from edge.settings import EdgeSettings
from edge.workers.messages import Load
from edge.workers.worker import State, Worker

ENGINES = {
    "embed": "edge.engines.embed",
    "hibari": "edge.engines.tts.hibari",
    "kokoro": "edge.engines.tts.kokoro",
    "llm": "edge.engines.llm",
    "whisper": "edge.engines.stt",
}
"""The module of each engine that the catalogue names."""

SHOWN_CHARACTERS = 100
"""How much of an unknown name an error repeats."""

HINT = "GET /v1/models lists the models that this edge serves"


class NotInstalledError(Exception):
    """Models that the edge is to serve are not in the cache; ``ids`` names them."""

    def __init__(self, ids: Sequence[str]) -> None:
        super().__init__(f"not installed: {', '.join(ids)}; run `nearedge models pull {' '.join(ids)}`")
        self.ids = tuple(ids)


class UnknownModelError(Exception):
    """The settings name a model that the catalogue does not have."""


@dataclass(frozen=True, slots=True)
class ServedModel:
    """A model of the catalogue and the worker that runs it."""

    model: CatalogueModel
    worker: Worker

    @property
    def id(self) -> str:
        return self.model.id


class ServedModels:
    """Every model of this edge: those of the settings in their order, then those loaded since.

    ``lifecycle`` starts and stops them. ``configured`` are those of the settings.

    Raises:
        UnknownModelError: the catalogue does not have one of them.
        NotInstalledError: the files of one are not in the cache.
    """

    def __init__(self, catalogue: Catalogue, settings: EdgeSettings) -> None:
        self._catalogue = catalogue
        self._settings = settings
        self._engines = dict(ENGINES)
        self._served: dict[str, ServedModel] = {}
        self.configured = tuple(chosen(catalogue, settings))
        missing = [model.id for model in self.configured if not installed(model, settings.cache)]
        if missing:
            raise NotInstalledError(missing)

    def __iter__(self) -> Iterator[ServedModel]:
        """Iterate over those that take requests, perhaps only once they are loaded."""
        return iter([served for served in self._served.values() if served.worker.active])

    def states(self) -> dict[str, State]:
        """Return the state of every model that was ever to be served, unloaded ones too, by id."""
        return {name: served.worker.state for name, served in self._served.items()}

    def put(self, served: ServedModel) -> None:
        """Serve *served* from now on, in place of what ran this model before."""
        self._served[served.id] = served

    def get(self, model_id: str) -> ServedModel | None:
        """Return what runs this model now or ran it last."""
        return self._served.get(model_id)

    def resolve(self, name: str, *, param: str = "model", hint: str = HINT) -> CatalogueModel:
        """Return the model of the catalogue called *name*.

        That is an id, an alias, or either after ``local/`` or this region's id.

        Raises:
            ModelNotFound: nobody knows that name; says *hint*.
        """
        provider, _, rest = name.partition("/")
        here = provider.lower() in {"local", self._settings.edge_region.lower()}
        model = self._catalogue.resolve(name) or (self._catalogue.resolve(rest) if here else None)
        if model is None:
            shown = name[:SHOWN_CHARACTERS]
            raise ModelNotFound(f"The model {shown!r} is not served here; {hint}", param=param)
        return model

    def find(self, name: str) -> ServedModel:
        """Return the model called *name*, as :meth:`resolve` understands it.

        Raises:
            ModelNotLoaded: the catalogue has the model, but it is not served here.
            ModelNotFound: nobody knows that name.
        """
        model = self.resolve(name)
        served = self._served.get(model.id)
        if served is None or not served.worker.active:
            raise ModelNotLoaded(f"Model not loaded: {model.id}; {HINT}", param="model")
        return served

    def find_for(self, name: str, kind: str) -> ServedModel:
        """Return the model called *name* if it is of this *kind* (chat, embedding, tts, stt).

        Raises:
            ModelNotFound: no model of that name is served here.
            InvalidField: it is of another kind.
        """
        served = self.find(name)
        if served.model.kind != kind:
            fitting = [other.id for other in self if other.model.kind == kind]
            hint = f"; {', '.join(fitting)} can" if fitting else ""
            raise InvalidField(f"The model {served.id} cannot do this{hint}", param="model")
        return served

    def order(self, model: CatalogueModel) -> Load:
        """Return the order to a worker that loads *model*, whose files are in the cache; reads a header.

        Raises:
            GgufError: a file is damaged.
            OSError: a file cannot be read.
        """
        settings = self._settings
        files = paths(model, settings.cache)
        options = dict(model.options) | {
            "context_tokens": model.context_tokens,
            "threads": settings.threads(model.kind),
        }
        if model.engine == "llm" and model.context_tokens is not None:
            plan = kv_plan(
                context_tokens=model.context_tokens,
                token_bytes=max(1.0, cache_bytes(read_header(files["model"]))),
                memory_bytes=SystemMemory().total_bytes(),
                slots=settings.edge_slots,
                kind=settings.edge_kv,
            )
            options |= asdict(plan) | {"step_ms": settings.edge_step_ms}
        if model.engine == "whisper":
            options["max_audio_seconds"] = settings.edge_audio_limit_minutes * 60
        named = {role: str(path) for role, path in files.items()}
        return Load(
            self._engines[model.engine],
            named,
            options,
            settings.log_level,
            settings.log_format,
            settings.nice(model.kind),
        )


def chosen(catalogue: Catalogue, settings: EdgeSettings) -> list[CatalogueModel]:
    """Return the models that the settings choose, each once.

    Raises:
        UnknownModelError: the catalogue does not have one of them.
    """
    found = {}
    for name in settings.edge_models:
        model = catalogue.resolve(name)
        if model is None:
            raise UnknownModelError(
                f"edge_models: the catalogue has no model {name!r}; `nearedge models list` shows what it has"
            )
        found[model.id] = model
    return list(found.values())
