"""The models that an edge can run: the catalogue, and their files in the cache.

``served`` joins them to the workers that run them, and is imported from there.
"""

from edge.models.catalogue import Catalogue, CatalogueError, CatalogueModel, load_catalogue
from edge.models.pull import ensure_models, installed, paths, pull, verify

__all__ = [
    "Catalogue",
    "CatalogueError",
    "CatalogueModel",
    "ensure_models",
    "installed",
    "load_catalogue",
    "paths",
    "pull",
    "verify",
]
