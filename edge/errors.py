"""What can go wrong at an edge, on top of the tree in ``shared.errors``.

ApiError
├── BadRequest
│   └── InvalidField         400  one field must change; ``param`` names it
├── Unauthorized
│   └── InvalidKey           401  missing, unknown, revoked or expired key
├── InsufficientCredits      402  the tenant has less than the call may cost
├── Forbidden
│   ├── MissingScope         403  the key may not do this
│   ├── UnknownTenant        403  a session token names no tenant that there is
│   ├── RegionNotAllowed     403  the key may not be used at this edge
│   ├── ModelNotAllowed      403  the key may not be used for this model
│   └── ExceedsKey           403  a key was asked for that could do more than the one that asks
├── NotFound
│   ├── JobNotFound          404  no such job, or it is somebody else's
│   ├── TokenNotFound        404  there is no such key, or not in this tenant
│   ├── TenantNotFound       404  no tenant has that id
│   └── ModelNotFound        404  no model has that name
│       └── ModelNotLoaded   404  the catalogue has the model, but it is not served here
├── IdempotencyKeyReused     422  the Idempotency-Key stands for another request
├── IdempotencyInProgress    409  the first request of this Idempotency-Key is still being answered
├── AnswerNotKept            409  it was answered, but its answer is not there to be given again
├── RateLimitExceeded        429  more requests or tokens a minute, or requests at a time, than allowed
├── ModelBusy                409  the model has requests in flight, and it was not said to end them
├── TokenEnded               409  the key has been revoked or has expired
├── LoadStopped              409  the model was unloaded while it was loading
├── ClientGone               499  the client left before its answer; only the log sees it
├── BadGateway
│   ├── WorkerFailed         502  the model's process died or its engine failed
│   ├── LoadFailed           502  the model's files cannot be had, or its process did not come up
│   └── SynthesisFailed      502  the voice did not speak the text
└── Unavailable
    ├── NoCapacity           503  the model's queue is full
    ├── ModelNotReady        503  the model is still loading, or being replaced
    ├── InsufficientMemory   503  the model needs more memory than is free
    ├── StillUnloading       503  the model's process has not ended yet
    └── StoreUnavailable     503  the database does not answer: never to be read as a bad key
"""

from shared.errors import ApiError, BadGateway, BadRequest, Forbidden, NotFound, Unauthorized, Unavailable


class InvalidField(BadRequest):
    code = "invalid_value"


class InvalidKey(Unauthorized):
    def __init__(self, detail: str = "Invalid API key") -> None:
        super().__init__(detail)


class InsufficientCredits(ApiError):
    status = 402
    type = "billing_error"
    code = "insufficient_credits"


class MissingScope(Forbidden):
    code = "missing_scope"


class JobNotFound(NotFound):
    code = "job_not_found"

    def __init__(self, detail: str) -> None:
        super().__init__(detail, param="job_id")


class UnknownTenant(Forbidden):
    code = "unknown_tenant"


class RegionNotAllowed(Forbidden):
    code = "region_not_allowed"


class ModelNotAllowed(Forbidden):
    code = "model_not_allowed"


class ExceedsKey(Forbidden):
    code = "exceeds_key"


class TokenNotFound(NotFound):
    code = "token_not_found"


class TenantNotFound(NotFound):
    code = "tenant_not_found"


class ModelNotFound(NotFound):
    code = "model_not_found"


class ModelNotLoaded(ModelNotFound):
    code = "model_not_loaded"


class IdempotencyKeyReused(ApiError):
    status = 422
    type = "invalid_request_error"
    code = "idempotency_key_reused"

    def __init__(self) -> None:
        super().__init__(
            "This Idempotency-Key was used for another request; send another one with every new request",
            param="Idempotency-Key",
        )


class IdempotencyInProgress(ApiError):
    status = 409
    type = "conflict_error"
    code = "idempotency_in_progress"

    def __init__(self) -> None:
        super().__init__(
            "The first request with this Idempotency-Key is still being answered; try again",
            headers={"Retry-After": "1"},
        )


class AnswerNotKept(ApiError):
    status = 409
    type = "conflict_error"
    code = "idempotency_answer_not_kept"

    def __init__(
        self,
        detail: str = "This request was done before, and is not done twice, but its answer was not kept",
    ) -> None:
        super().__init__(detail)


class RateLimitExceeded(ApiError):
    """``retry_after`` is in whole seconds."""

    status = 429
    type = "rate_limit_error"
    code = "rate_limit_exceeded"

    def __init__(self, detail: str, *, retry_after: int = 1) -> None:
        super().__init__(detail, headers={"Retry-After": str(retry_after)})


class ModelBusy(ApiError):
    status = 409
    type = "conflict_error"
    code = "model_busy"


class TokenEnded(ApiError):
    status = 409
    type = "conflict_error"
    code = "token_ended"


class LoadStopped(ApiError):
    status = 409
    type = "conflict_error"
    code = "load_stopped"


class ClientGone(ApiError):
    """The client left before its answer was ready. 499 is what nginx writes in its log for this."""

    status = 499
    type = "client_gone"

    def __init__(self) -> None:
        super().__init__("The client has left")


class WorkerFailed(BadGateway):
    code = "worker_failed"


class LoadFailed(BadGateway):
    code = "load_failed"


class SynthesisFailed(BadGateway):
    code = "synthesis_failed"


class NoCapacity(Unavailable):
    code = "no_capacity"


class ModelNotReady(Unavailable):
    code = "model_not_ready"


class InsufficientMemory(Unavailable):
    code = "insufficient_memory"


class StillUnloading(Unavailable):
    code = "still_unloading"


class StoreUnavailable(Unavailable):
    code = "store_unavailable"
