"""A catalogue of models of a few bytes, and an edge's lifecycle over it."""

import hashlib
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import anyio
import pytest

from edge.models import Catalogue, CatalogueModel, load_catalogue, served
from edge.models import pull as fetch
from edge.models.lifecycle import Lifecycle, Pull
from edge.models.memory import Memory
from edge.models.schema import Kind
from edge.models.served import ServedModels
from edge.settings import EdgeSettings
from edge.workers.worker import State, Tell
from shared.artifacts import Artifact, Silent, parse_source

ENGINE = "tests.edge.workers.scripted_engine"


def small_model(
    directory: Path, model_id: str, content: bytes = b"", *, kind: Kind = "tts", **options: Any
) -> CatalogueModel:
    """Return a model whose one file has *content* and whose source is a file in *directory*.

    *options* are those of the scripted engine.
    """
    base = load_catalogue().resolve("hibari")
    assert base is not None
    content = content or model_id.encode()
    name = "model.gguf" if content.startswith(b"GGUF") else "model.bin"
    source = directory / f"{model_id}-{name}"
    source.write_bytes(content)
    file = Artifact(
        name, hashlib.sha256(content).hexdigest(), len(content), ((parse_source(f"file:{source}"),),)
    )
    return replace(
        base,
        id=model_id,
        engine="whisper",
        kind=kind,
        aliases=(f"who/{model_id}",),
        context_tokens=16,
        options=options,
        files={"model": file},
        derived={},
    )


class FixedMemory(Memory):
    """Says what a test says."""

    def __init__(self, free: int | None = None) -> None:
        self.free = free

    def free_bytes(self, pids: Iterable[int]) -> int | None:
        return self.free


@dataclass
class SmallEdge:
    settings: EdgeSettings
    models: ServedModels
    lifecycle: Lifecycle
    memory: FixedMemory
    cache: Path
    pulled: list[str]

    def state(self, model_id: str) -> str | None:
        states = self.models.states()
        return states[model_id].value if model_id in states else None


def build(
    directory: Path,
    models: Iterable[CatalogueModel],
    *,
    configured: Iterable[str] = (),
    wait_seconds: float = 20.0,
    pull: Pull | None = None,
) -> SmallEdge:
    """Return an edge over *models*, of which those that are *configured* are in its cache.

    *pull* fetches the others, by default from their files.
    """
    models = tuple(models)
    configured = tuple(configured)
    cache = directory / "cache"
    for model in models:
        if model.id in configured:
            fetch(model, cache, Silent())
    made = EdgeSettings(
        home=directory / "home",
        cache=cache,
        edge_models=configured,
        edge_load_wait_seconds=wait_seconds,
        edge_memory_spare_bytes=0,
    )
    pulled: list[str] = []

    async def pull_here(model_id: str, cache: Path, tell: Tell, *, seconds: float) -> None:
        pulled.append(model_id)
        fetch(next(model for model in models if model.id == model_id), cache, Silent())

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(served, "ENGINES", dict.fromkeys(served.ENGINES, ENGINE))
        registry = ServedModels(Catalogue(models), made)
    memory = FixedMemory()
    return SmallEdge(
        made,
        registry,
        Lifecycle(registry, made, memory=memory, pull=pull or pull_here),
        memory,
        cache,
        pulled,
    )


@asynccontextmanager
async def running(*arguments: Any, **settings: Any) -> AsyncIterator[SmallEdge]:
    """As :func:`build`, with the configured models loading."""
    edge = build(*arguments, **settings)
    async with edge.lifecycle.running():
        yield edge


async def loaded(edge: SmallEdge, name: str) -> int:
    """Wait for a configured model and return its process id."""
    with anyio.fail_after(30):
        assert await edge.models.find(name).worker.settled() is State.LOADED
    found = edge.models.find(name).worker.pid
    assert found is not None
    return found
