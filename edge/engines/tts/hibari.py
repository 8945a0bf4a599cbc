"""hibari: one small American voice, over a hundred times faster than real time on a core."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from hibari import Hibari
from numpy.typing import NDArray

from edge.engines.base import Job
from edge.engines.tts.engine import SpeechEngine
from edge.engines.tts.kokoro import ALIASES
from edge.engines.tts.phonemes import Phonemizer
from edge.engines.tts.voices import Blend, Voice, VoiceTable

HEART = Voice("heart", "Heart", "en-US", "American", "female")

_NOISE_SEED = 0
"""The model's breath is random; a fixed one makes equal requests sound equal."""


class HibariModel:
    """The voice of one model file; what else it needs is in the package."""

    slowest = 0.5
    fastest = 1.5

    def __init__(self, model: Path, *, threads: int) -> None:
        self._model = Hibari(voice=HEART.id, model=str(model), threads=threads)
        self._phonemizer = Phonemizer(british=False)
        # A client that can only ask for other services' voices gets the one there is.
        self.voices = VoiceTable([HEART], dict.fromkeys(["af_heart", *ALIASES], HEART.id))

    def phonemizer(self, voice: Blend) -> Phonemizer:  # noqa: ARG002 - there is one voice
        return self._phonemizer

    def rest(self) -> None:
        """What a sentence needs is little."""

    def synthesize(
        self,
        tokens: list[int],
        voice: Blend,  # noqa: ARG002 - there is one voice
        *,
        speed: float,
        job: Job,  # noqa: ARG002 - a sentence is too short to stop
    ) -> NDArray[np.float32]:
        samples: NDArray[np.float32] = self._model.from_ids(
            [0, *tokens, 0], speed, np.random.default_rng(_NOISE_SEED)
        )
        return samples


def load(files: Mapping[str, Path], options: Mapping[str, Any]) -> SpeechEngine:
    """Load the role ``model`` (ONNX); option ``threads``."""
    return SpeechEngine(HibariModel(files["model"], threads=options["threads"]))
