"""``nearedge models``."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from nearedge.console import err, fail, load_settings, out

if TYPE_CHECKING:
    from edge.models import Catalogue, CatalogueModel, Weights

app = typer.Typer(no_args_is_help=True, help="The models of the catalogue.")

Names = Annotated[list[str] | None, typer.Argument(metavar="[ID]…", help="Ids or aliases of models")]


@app.command("list")
def list_models(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON array")] = False,
) -> None:
    """Show what the catalogue has and what of it is installed."""
    from rich.table import Table

    from edge.models import installed, weights
    from shared.artifacts import megabytes

    settings = load_settings()
    catalogue = _catalogue()
    if as_json:
        described = [
            _as_json(model, installed(model, settings.cache), weights(model, settings.cache))
            for model in catalogue
        ]
        out.print_json(json.dumps(described))
        return
    table = Table(box=None, pad_edge=False)
    for column in ("id", "kind", "size", "installed", "weights"):
        table.add_column(column, no_wrap=True)
    table.add_column("aliases", overflow="fold")
    for model in catalogue:
        there = "yes" if installed(model, settings.cache) else "no"
        chosen = weights(model, settings.cache)
        layout = chosen.layout if chosen is not None else ""
        size = megabytes(model.fetched_bytes)
        table.add_row(model.id, model.kind, size, there, layout, ", ".join(model.aliases))
    out.print(table)


@app.command()
def pull(
    names: Names = None,
    every: Annotated[bool, typer.Option("--all", help="Every model of the catalogue")] = False,
) -> None:
    """Fetch models that are not there yet; without ids those that the edge loads at start."""
    from edge.models import pull as pull_model
    from nearedge.progress import bars
    from shared.artifacts import ArtifactError

    settings = load_settings()
    chosen = _chosen(_catalogue(), names, every=every, otherwise=settings.edge_models)
    try:
        with bars() as progress:
            for model in chosen:
                pull_model(model, settings.cache, progress)
    except ArtifactError as error:
        fail(str(error))
    err.print(f"installed: {', '.join(model.id for model in chosen)}")


@app.command()
def verify(names: Names = None) -> None:
    """Read every file of models again and compare its digest; without ids those that were ever pulled."""
    from edge.models import paths
    from edge.models import verify as verify_model

    settings = load_settings()
    catalogue = _catalogue()
    there = [model.id for model in catalogue if paths(model, settings.cache)["model"].parent.is_dir()]
    wrong: list[str] = []
    for model in _chosen(catalogue, names, every=False, otherwise=there):
        problems = verify_model(model, settings.cache)
        out.print(f"{model.id}: {'; '.join(problems) or 'ok'}")
        if problems:
            wrong.append(model.id)
    if wrong:
        fail(f"run `nearedge models pull {' '.join(wrong)}` to fetch them again")


def _catalogue() -> "Catalogue":
    from edge.models import CatalogueError, load_catalogue

    try:
        return load_catalogue()
    except CatalogueError as error:
        fail(str(error))


def _chosen(
    catalogue: "Catalogue", names: Sequence[str] | None, *, every: bool, otherwise: Iterable[str]
) -> "list[CatalogueModel]":
    """Return the models called *names*, each once; all of them, or those of *otherwise*, if none is named."""
    if every:
        return list(catalogue)
    chosen: dict[str, CatalogueModel] = {}
    for name in names or otherwise:
        model = catalogue.resolve(name)
        if model is None:
            fail(f"the catalogue has no model {name!r}; `nearedge models list` shows what it has", code=2)
        chosen[model.id] = model
    return list(chosen.values())


def _as_json(model: "CatalogueModel", there: bool, chosen: "Weights | None") -> dict[str, object]:
    return {
        "id": model.id,
        "kind": model.kind,
        "engine": model.engine,
        "aliases": list(model.aliases),
        "description": model.description,
        "licence": model.licence,
        "parameters": model.parameters,
        "context_tokens": model.context_tokens,
        "capabilities": sorted(model.capabilities),
        "bytes": model.fetched_bytes,
        "installed": there,
        "weights": asdict(chosen) if chosen is not None else None,
    }
