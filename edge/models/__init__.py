"""The models that an edge can run: the catalogue, and their files in the cache.

``served`` joins them to the workers that run them, and ``lifecycle`` loads and unloads them. Both are
imported from there.
"""

from edge.models.catalogue import Catalogue, CatalogueError, CatalogueModel, load_catalogue
from edge.models.manifest import Weights
from edge.models.pull import ensure_models, installed, paths, published, pull, verify, weights

__all__ = [
    "Catalogue",
    "CatalogueError",
    "CatalogueModel",
    "Weights",
    "ensure_models",
    "installed",
    "load_catalogue",
    "paths",
    "published",
    "pull",
    "verify",
    "weights",
]
