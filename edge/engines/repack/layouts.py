"""Weight layouts that a GGUF file can be turned into."""

import ctypes
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import llama_cpp as c

from edge.engines.llama import LlamaError, native


@dataclass(frozen=True, slots=True)
class Layout:
    """Types of llama.h and ggml.h: of all matrices, but for those whose names match a pattern.

    Embeddings and output are Q8_0 in every layout: with them in Q4_0 the perplexity of SmolLM2-135M rose by
    10 %, with all the other matrices together by 22 %.
    """

    file_type: int
    tensor_types: Mapping[str, int]


LAYOUTS: Mapping[str, Layout] = {
    "Q4_0": Layout(c.LLAMA_FTYPE_MOSTLY_Q4_0, {}),
    "Q8_0+Q4_K": Layout(c.LLAMA_FTYPE_MOSTLY_Q8_0, {r"ffn_down\.": c.GGML_TYPE_Q4_K}),
    "Q8_0": Layout(c.LLAMA_FTYPE_MOSTLY_Q8_0, {}),
}
"""Fastest first. ggml repacks Q4_0 on x86 and ARM, Q4_K on both too, Q8_0 on ARM; on x86 Q8_0 has a tiled
kernel. Q4_1, Q5_0 and Q5_1 have nothing of the kind."""


def write(source: Path, target: Path, layout: Layout, *, threads: int) -> None:
    """Write the model *source* as *target* in another layout. A few seconds for 100 MB.

    Raises:
        LlamaError: the model cannot be written so.
    """
    native.start()
    overrides = (c.llama_model_tensor_override * (len(layout.tensor_types) + 1))()
    for entry, (pattern, kind) in zip(overrides, layout.tensor_types.items(), strict=False):
        entry.pattern, entry.type = pattern.encode(), kind
    params = c.llama_model_quantize_default_params()
    params.nthread = threads
    params.ftype = layout.file_type
    params.allow_requantize = True
    params.pure = True
    params.token_embedding_type = params.output_tensor_type = c.GGML_TYPE_Q8_0
    params.tt_overrides = overrides
    if c.llama_model_quantize(str(source).encode(), str(target).encode(), ctypes.byref(params)) != 0:
        raise LlamaError(f"{source.name} cannot be written in another layout")
