"""Files that are made at pull time out of what was fetched."""

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from edge.models.schema import Converter as ConverterName


@dataclass(frozen=True, slots=True)
class Converter:
    """Makes a file. A new ``version`` has it made again where a file of an older one lies."""

    version: str
    module: str

    def run(self, inputs: Mapping[str, Path], output: Path) -> None:
        """Write *output* from *inputs*; loads the libraries that this takes only now."""
        importlib.import_module(self.module).convert(inputs, output)


_CONVERTERS: Mapping[ConverterName, Converter] = {
    "bert-gguf": Converter("bert-gguf/1", "edge.models.bert_gguf"),
    "kokoro-voices": Converter("kokoro-voices/1", "edge.models.kokoro_voices"),
}


def converter_for(name: ConverterName) -> Converter:
    return _CONVERTERS[name]
