"""What the engines on llama.cpp need of its bindings: a loaded model, a context and batches for it."""

from edge.engines.llama.batch import Batch, EmbeddingBatch
from edge.engines.llama.context import Context
from edge.engines.llama.model import Model
from edge.engines.llama.native import LlamaError

__all__ = ["Batch", "Context", "EmbeddingBatch", "LlamaError", "Model"]
