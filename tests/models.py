"""Real models for tests: pulled into the user's cache, as a user would."""

import os
from pathlib import Path

import platformdirs

from edge.models import CatalogueModel, load_catalogue, paths, pull
from shared.artifacts import Silent

CACHE = Path(os.environ.get("NEAREDGE_CACHE") or platformdirs.user_cache_dir("nearedge"))


def pulled(model_id: str) -> tuple[CatalogueModel, dict[str, Path]]:
    """Return a model of the catalogue and the files of its roles, fetched if they are not there yet."""
    model = load_catalogue().resolve(model_id)
    assert model is not None
    pull(model, CACHE, Silent())
    return model, paths(model, CACHE)
