"""The speech-to-text engine."""

from edge.engines.stt.engine import WhisperEngine, load

__all__ = ["WhisperEngine", "load"]
