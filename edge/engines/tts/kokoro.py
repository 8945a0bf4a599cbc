"""Kokoro-82M (ONNX) on onnxruntime."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from edge.engines.base import Job
from edge.engines.tts.engine import SpeechEngine
from edge.engines.tts.phonemes import Phonemizer
from edge.engines.tts.voices import Blend, VoiceTable, kokoro_voice

ALIASES = {
    "alloy": "af_alloy",
    "echo": "am_echo",
    "fable": "bm_fable",
    "onyx": "am_onyx",
    "nova": "af_nova",
    "shimmer": "af_sky",
    # OpenAI's later ones
    "ash": "am_michael",
    "ballad": "bm_lewis",
    "coral": "af_bella",
    "sage": "af_sarah",
    "verse": "am_puck",
    "marin": "af_heart",
    "cedar": "am_fenrir",
    # Of models that have no named voices
    "default": "af_heart",
}
"""Names that other services have for voices."""

STYLE_SHAPE = (510, 256)
"""Of a voice: one style vector per number of tokens, from 1."""

LONG_TOKENS = 120
"""What a longer piece needs, up to a gigabyte, goes back before the next. Of shorter ones it is kept until
there is nothing to say: to give it back after each and take it again costs a tenth of the time."""

_GIVE_BACK = ("memory.enable_memory_arena_shrinkage", "cpu:0")
_SHORT = 16
"""The token of a blank."""


class Kokoro:
    """The model and its voices.

    No phoneme of it is shorter than a frame (25 ms), and slow it drags its vowels; so it speaks near its own
    speed only and the rest is stretched. Wrong words when transcribed back, model alone and so: 28 % and 3 %
    at speed 2, 5 % and none at 0.5, 48 % and 7 % at 0.25.
    """

    slowest = 0.85
    fastest = 1.25

    def __init__(self, model: Path, voices: Path, *, threads: int) -> None:
        with ThreadPoolExecutor(1) as aside:
            session = aside.submit(_session, model, threads)
            self._phonemizers = {british: Phonemizer(british=british) for british in (False, True)}
            self._styles = _styles(voices)
            self._session = session.result()
        self.voices = VoiceTable(map(kokoro_voice, self._styles), ALIASES)

    def phonemizer(self, voice: Blend) -> Phonemizer:
        return self._phonemizers[voice.british]

    def style(self, voice: Blend, length: int) -> NDArray[np.float32]:
        """Return how *voice* says *length* tokens, shape (1, 256): the weighted mean of its parts."""
        row = slice(length - 1, length)
        blended = np.zeros((1, STYLE_SHAPE[1]), np.float32)
        for part, share in voice.parts:
            blended += self._styles[part.id][row] * np.float32(share)
        return blended

    def synthesize(self, tokens: list[int], voice: Blend, *, speed: float, job: Job) -> NDArray[np.float32]:
        options = ort.RunOptions()
        if len(tokens) > LONG_TOKENS:
            options.add_run_config_entry(*_GIVE_BACK)

        def stop() -> None:
            options.terminate = True

        job.on_cancel(stop)
        try:
            return self._run(tokens, self.style(voice, len(tokens)), speed, options)
        except Exception:
            job.check()  # a run that was stopped fails
            raise

    def rest(self) -> None:
        options = ort.RunOptions()
        options.add_run_config_entry(*_GIVE_BACK)  # at the end of a run, so the shortest there is
        self._run([_SHORT], self._styles[next(iter(self._styles))][:1], 1.0, options)

    def _run(
        self, tokens: list[int], style: NDArray[np.float32], speed: float, options: ort.RunOptions
    ) -> NDArray[np.float32]:
        inputs = {
            "tokens": np.array([[0, *tokens, 0]], np.int64),
            "style": style,
            "speed": np.array([speed], np.float32),
        }
        audio: NDArray[np.float32] = self._session.run(["audio"], inputs, options)[0]
        return audio.reshape(-1)


def _session(model: Path, threads: int) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    # Threads that wait without spinning leave the cores to other models and cost nothing measurable.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return ort.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])


def _styles(path: Path) -> dict[str, NDArray[np.float32]]:
    with np.load(path, allow_pickle=False) as archive:
        styles = {name: archive[name] for name in sorted(archive.files)}
    for name, style in styles.items():
        if style.shape != STYLE_SHAPE or style.dtype != np.float32:
            raise ValueError(
                f"{path.name}: voice {name} is {style.dtype}{style.shape}, not float32{STYLE_SHAPE}"
            )
    return styles


def load(files: Mapping[str, Path], options: Mapping[str, Any]) -> SpeechEngine:
    """Load the roles ``model`` (ONNX) and ``voices`` (an .npz of styles by voice id); option ``threads``."""
    return SpeechEngine(Kokoro(files["model"], files["voices"], threads=options["threads"]))
