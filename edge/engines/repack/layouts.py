"""Weight layouts that a GGUF file can be turned into."""

import ctypes
from collections.abc import Mapping
from pathlib import Path

import llama_cpp as c

from edge.engines.llama import LlamaError, native

LAYOUTS: Mapping[str, int] = {
    "Q4_0": c.LLAMA_FTYPE_MOSTLY_Q4_0,
    "Q8_0": c.LLAMA_FTYPE_MOSTLY_Q8_0,
}
"""llama.h's type of a file by layout, fastest first. ggml repacks Q4_0 on x86 and ARM, and Q8_0 on ARM; on
x86 Q8_0 has a tiled kernel. Q4_1, Q5_0 and Q5_1 have nothing of the kind; K-quants need rows of 256, and
their repacked kernels on x86 are not steady (see ``steadiness``)."""


def write(source: Path, target: Path, layout: str, *, threads: int) -> None:
    """Write the model *source* as *target* in *layout*, in about a second for 100 MB.

    Embeddings and output become Q8_0 in every layout: with only these in Q4_0 the perplexity of SmolLM2-135M
    rises by 10 %.

    Raises:
        LlamaError: the model cannot be written so.
    """
    native.start()
    params = c.llama_model_quantize_default_params()
    params.nthread = threads
    params.ftype = LAYOUTS[layout]
    params.allow_requantize = True
    params.pure = True
    params.token_embedding_type = params.output_tensor_type = c.GGML_TYPE_Q8_0
    if c.llama_model_quantize(str(source).encode(), str(target).encode(), ctypes.byref(params)) != 0:
        raise LlamaError(f"{source.name} cannot be written in another layout")
