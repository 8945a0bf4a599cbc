"""Bringing a model's files into the cache, and telling whether they are there."""

import contextlib
from collections.abc import Iterable
from pathlib import Path

from edge.models import manifest
from edge.models.catalogue import CatalogueModel, Derived
from edge.models.convert import converter_for
from edge.models.manifest import Entry, Manifest, Weights
from shared.artifacts import Artifact, Progress, Workspace, holds, sha256_of, workspace


def directory_of(model: CatalogueModel, cache: Path) -> Path:
    return cache / "models" / model.id


def paths(model: CatalogueModel, cache: Path) -> dict[str, Path]:
    """Return where the file of each role lies, or will lie once the model is pulled."""
    directory = directory_of(model, cache)
    fetched = {role: directory / item.name for role, item in model.files.items()}
    return fetched | {role: directory / item.name for role, item in model.derived.items()}


def published(model: CatalogueModel, cache: Path) -> Path:
    """Return where the main file lies as it was published; another than runs if it was repacked."""
    main = model.derived.get("model")
    kept = main.kept_inputs if main is not None else ()
    return directory_of(model, cache) / kept[0].name if kept else paths(model, cache)["model"]


def weights(model: CatalogueModel, cache: Path) -> Weights | None:
    """Return in which weight layout *model* runs, None where there is no choice or it is not installed."""
    name = paths(model, cache)["model"].name
    entry = manifest.read(directory_of(model, cache)).get(name)
    return entry.weights if entry is not None else None


def installed(model: CatalogueModel, cache: Path) -> bool:
    """Return whether every file is there in its right size, without reading the files."""
    directory = directory_of(model, cache)
    known = manifest.read(directory)
    return all(_present(directory, known, item) for item in model.pieces)


def pull(model: CatalogueModel, cache: Path, progress: Progress) -> None:
    """Fetch what is missing of *model*, verify it, and put it in place.

    Several processes may call this at once: one fetches, the others wait for it. A pull that was
    interrupted is gone on with.

    Raises:
        ArtifactError: a file cannot be had from any source, or the disk is too small.
    """
    if installed(model, cache):
        return
    directory = directory_of(model, cache)
    with workspace(directory, progress) as work:
        if installed(model, cache):
            return
        known = manifest.read(directory)
        missing = [item for item in model.placed if not _holds(directory / item.name, item)]
        unmade = [item for item in model.derived.values() if not _present(directory, known, item)]
        passing = [part for item in unmade for part in item.inputs.values() if part not in model.placed]
        work.require_space([*missing, *passing], scratch_bytes=sum(map(_scratch_bytes, unmade)))
        entries = {item.name: Entry(item.sha256, item.bytes) for item in model.placed}
        for item in missing:
            work.place(work.stage(item), item.name)
        for derived in model.derived.values():
            made = derived in unmade
            entries[derived.name] = _make(derived, work, progress) if made else known[derived.name]
        _write_manifest(entries, work)
        for outdated in known.keys() - entries.keys():
            (directory / Path(outdated).name).unlink(missing_ok=True)


def ensure_models(models: Iterable[CatalogueModel], cache: Path, progress: Progress) -> None:
    """Pull each of *models* that is not installed yet. Raises as :func:`pull` does."""
    for model in models:
        pull(model, cache, progress)


def verify(model: CatalogueModel, cache: Path) -> list[str]:
    """Read every file of *model* again; return what is wrong with each, or nothing.

    A model with a wrong file no longer counts as installed, so that the next pull mends it.
    """
    directory = directory_of(model, cache)
    known = manifest.read(directory)
    problems = [problem for item in model.pieces if (problem := _problem(directory, known, item))]
    if problems:
        with contextlib.suppress(OSError):
            (directory / manifest.FILE).unlink()
    return problems


def _problem(directory: Path, known: Manifest, wanted: Artifact | Derived) -> str | None:
    path = directory / wanted.name
    entry = known.get(wanted.name)
    if not path.is_file():
        return f"{path} is missing"
    if entry is None:
        return f"{path} was never pulled whole"
    if not _matches(entry, wanted):
        return f"{path} is of another version of the catalogue"
    if not holds(path, sha256=entry.sha256, size_bytes=entry.bytes):
        return f"{path} is damaged: its SHA-256 is not {entry.sha256}"
    return None


def _present(directory: Path, known: Manifest, wanted: Artifact | Derived) -> bool:
    entry = known.get(wanted.name)
    if entry is None or not _matches(entry, wanted):
        return False
    try:
        return (directory / wanted.name).stat().st_size == entry.bytes
    except OSError:
        return False


def _matches(entry: Entry, wanted: Artifact | Derived) -> bool:
    if isinstance(wanted, Artifact):
        return (entry.sha256, entry.bytes) == (wanted.sha256, wanted.bytes)
    return entry.converter == converter_for(wanted.convert).version and entry.inputs == _digests(wanted)


def _holds(path: Path, artifact: Artifact) -> bool:
    return holds(path, sha256=artifact.sha256, size_bytes=artifact.bytes)


def _digests(derived: Derived) -> dict[str, str]:
    return {name: item.sha256 for name, item in derived.inputs.items()}


def _scratch_bytes(derived: Derived) -> int:
    inputs = sum(item.bytes for item in derived.inputs.values())
    return int(converter_for(derived.convert).scratch * inputs)


def _make(derived: Derived, work: Workspace, progress: Progress) -> Entry:
    inputs = {
        name: work.into / item.name if name in derived.kept else work.stage(item)
        for name, item in derived.inputs.items()
    }
    progress.say(f"making {derived.name}")
    made = work.incoming / f"{derived.name}.made"
    converter = converter_for(derived.convert)
    weights = converter.run(inputs, made, progress)
    entry = Entry(sha256_of(made), made.stat().st_size, converter.version, _digests(derived), weights)
    work.place(made, derived.name)
    return entry


def _write_manifest(entries: Manifest, work: Workspace) -> None:
    staged = work.incoming / manifest.FILE
    staged.write_bytes(manifest.to_json(entries))
    work.place(staged, manifest.FILE)
