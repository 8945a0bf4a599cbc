"""Files that are made at pull time out of what was fetched."""

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from edge.models.manifest import Weights
from edge.models.schema import Converter as ConverterName
from shared.artifacts import Progress


@dataclass(frozen=True, slots=True)
class Converter:
    """Makes a file. A new ``version`` has it made again where a file of an older one lies."""

    version: str
    module: str
    scratch: float = 1.0
    """Disk space that it takes, as a multiple of its inputs."""

    def run(self, inputs: Mapping[str, Path], output: Path, progress: Progress) -> Weights | None:  # noqa: ARG002
        """Write *output* from *inputs*; loads the libraries that this takes only now."""
        importlib.import_module(self.module).convert(inputs, output)
        return None


class ChoosingConverter(Converter):
    """Finds out what is best on this machine; tells how it goes, and what came out."""

    def run(self, inputs: Mapping[str, Path], output: Path, progress: Progress) -> Weights | None:
        weights: Weights = importlib.import_module(self.module).convert(inputs, output, progress)
        return weights


_CONVERTERS: Mapping[ConverterName, Converter] = {
    "bert-gguf": Converter("bert-gguf/1", "edge.models.bert_gguf"),
    "kokoro-voices": Converter("kokoro-voices/1", "edge.models.kokoro_voices"),
    "repacked-gguf": ChoosingConverter("repacked-gguf/2", "edge.models.repack", scratch=2.0),
}


def converter_for(name: ConverterName) -> Converter:
    return _CONVERTERS[name]
