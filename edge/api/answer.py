"""What every inference answer says besides its content: where and how fast it was made."""

import secrets
import time
from dataclasses import dataclass, field

from starlette.requests import Request

from edge.api.authorise import require_model
from edge.api.responses import PgMetadata, Routing, Usage
from edge.models.served import ServedModel


@dataclass(slots=True)
class Answer:
    """One answer in the making; times in milliseconds, ``created`` in Unix seconds."""

    id: str
    model: str
    region: str
    created: int = field(default_factory=lambda: int(time.time()))
    queue_ms: float = 0.0
    inference_ms: float = 0.0
    _started: float = field(default_factory=time.perf_counter)

    def note_times(self, queue_ms: float, inference_ms: float) -> None:
        """Take in the times of one of the answer's parts: the slowest part counts."""
        self.queue_ms = max(self.queue_ms, queue_ms)
        self.inference_ms = max(self.inference_ms, inference_ms)

    @property
    def metadata(self) -> PgMetadata:
        return {
            "region": self.region,
            "latency_ms": round((time.perf_counter() - self._started) * 1000),
            "queue_time_ms": round(self.queue_ms),
            "inference_time_ms": round(self.inference_ms),
        }

    @property
    def routing(self) -> Routing:
        return {"path": "local", "provider": self.region}

    @property
    def headers(self) -> dict[str, str]:
        """Headers that are known before the work is done: which model runs where."""
        return {"X-Provocapi-Model": self.model, "X-Provocapi-Worker": self.region}

    @property
    def final_headers(self) -> dict[str, str]:
        """Headers once the work is done: also how long it queued."""
        return self.headers | {"X-Provocapi-Queue-Ms": str(round(self.queue_ms))}


def begin(request: Request, served: ServedModel, prefix: str) -> Answer:
    """Begin the answer of *served* to *request*; its id starts with *prefix*.

    Raises:
        ModelNotAllowed: the caller's key is for other models.
    """
    require_model(request.state.key, served.id)
    region: str = request.app.state.settings.edge_region
    return Answer(id=f"{prefix}{secrets.token_hex(12)}", model=served.id, region=region)


def usage(prompt_tokens: int, completion_tokens: int, *, cached_tokens: int) -> Usage:
    return {
        "prompt_tokens": prompt_tokens,
        "completion_tokens": completion_tokens,
        "total_tokens": prompt_tokens + completion_tokens,
        "prompt_tokens_details": {"cached_tokens": cached_tokens},
    }
