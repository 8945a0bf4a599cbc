"""The settings of everything that the command can start, joined."""

from autorouter.settings import AutorouterSettings
from edge.settings import EdgeSettings


class Settings(EdgeSettings, AutorouterSettings):
    """An instance is at once an edge's and an autorouter's settings."""
