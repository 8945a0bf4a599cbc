"""``POST /v1/embeddings``."""

import base64
from typing import Any

import numpy as np
from starlette.requests import Request
from starlette.responses import Response

from edge.api.answer import begin
from edge.api.leaving import unless_gone
from edge.api.metered import metered
from edge.api.parsing import parse_json
from edge.api.requests import EmbeddingRequest
from edge.errors import WorkerFailed
from edge.workers.messages import Embed, Vectors
from edge.workers.stream import EventStream
from shared.http.json import JsonResponse

Rows = np.ndarray[Any, np.dtype[np.float32]]
"""Shape (inputs, dimensions)."""


async def embeddings(request: Request) -> Response:
    """Embed one input or several."""
    body = await parse_json(request, EmbeddingRequest)
    served = request.app.state.models.find_for(body.model, "embedding")
    answer = begin(request, served, "emb-")
    async with metered(request, served, Embed(body.inputs, body.dimensions)) as stream:
        vectors = await unless_gone(request.receive, _vectors(stream))
    answer.note_times(vectors.queue_ms, vectors.inference_ms)
    content = {
        "object": "list",
        "data": [
            {"object": "embedding", "index": index, "embedding": _written(row, body.encoding_format)}
            for index, row in enumerate(unpack(vectors))
        ],
        "model": answer.model,
        "usage": {"prompt_tokens": vectors.prompt_tokens, "total_tokens": vectors.prompt_tokens},
        "pg_metadata": answer.metadata,
        "routing": answer.routing,
    }
    return JsonResponse(content, headers=answer.final_headers)


async def _vectors(stream: EventStream) -> Vectors:
    async for _, event in stream:
        if isinstance(event, Vectors):
            return event
    raise WorkerFailed("The model gave no answer")


def unpack(vectors: Vectors) -> Rows:
    """Return the vectors as a float32 array of shape (inputs, dimensions)."""
    return np.frombuffer(vectors.data, "<f4").reshape(-1, vectors.dimensions)


def _written(row: Rows, encoding: str | None) -> Any:
    if encoding == "base64":
        return base64.b64encode(row.astype("<f4").tobytes()).decode()
    return np.ascontiguousarray(row)
