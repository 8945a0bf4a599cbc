"""The embedding engine."""

from edge.engines.embed.engine import EmbedEngine, load

__all__ = ["EmbedEngine", "load"]
