"""Audio in and out of files. The native parts are in ``encoder``, ``decoder`` and ``tempo``."""

from edge.engines.audio.formats import FORMATS, SPEECH_RATE, AudioFormat

__all__ = ["FORMATS", "SPEECH_RATE", "AudioFormat"]
