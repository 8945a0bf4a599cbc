"""One call to a model, as it is accounted for."""

from typing import NamedTuple


class UsageEvent(NamedTuple):
    """Money in micro-units, times in milliseconds, ``at`` the end of the call (RFC 3339, UTC).

    ``service`` is the API's part that was called, ``path`` where it was served, as answers tell it, and
    ``status`` the HTTP status, 499 for a caller who left before the end. ``lease_id`` names the lease that
    ``charged_micro`` was taken from, None where a tenant pays later or not at all. The
    fields are in the order of its tables' columns.
    """

    id: str
    at: str
    tenant_id: str
    key_id: str
    request_id: str
    model: str
    adapter: str
    region: str
    service: str
    path: str
    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int
    audio_ms: int
    characters: int
    status: int
    cost_micro: int
    charged_micro: int
    lease_id: str | None
    queue_ms: float
    first_byte_ms: float
    total_ms: float

    @property
    def day(self) -> str:
        """The UTC day of its end, ``YYYY-MM-DD``."""
        return self.at[:10]
