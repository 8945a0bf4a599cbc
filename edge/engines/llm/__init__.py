"""The language model engine."""

from edge.engines.llm.engine import LlmEngine, load

__all__ = ["LlmEngine", "load"]
