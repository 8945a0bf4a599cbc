"""Every endpoint of an edge."""

from edge.accounts import Scope
from edge.api import (
    chat,
    completions,
    credit,
    docs,
    embeddings,
    health,
    internal_status,
    metrics,
    model_control,
    models,
    speech,
    tokens,
    transcriptions,
    usage,
)
from edge.api.account_types import CreditsAnswer, GrantAnswer, UsageAnswer
from edge.api.model_types import (
    LoadAnswer,
    LoadRefusal,
    LoadRequest,
    UnloadAllAnswer,
    UnloadAllRefusal,
    UnloadAllRequest,
    UnloadAnswer,
    UnloadRefusal,
    UnloadRequest,
)
from edge.api.operation import Access, Operation
from edge.api.requests import (
    ChatRequest,
    CompletionRequest,
    EmbeddingRequest,
    SpeechRequest,
    TranscriptionForm,
    TranscriptionQuery,
)
from edge.api.requests.accounts import CreditsQuery, GrantRequest, UsageQuery
from edge.api.responses import (
    ChatCompletion,
    ChatCompletionChunk,
    EmbeddingList,
    ErrorEvent,
    Health,
    ModelInfo,
    ModelList,
    ModelStatus,
    TextCompletion,
    Transcript,
    TranscriptDelta,
    TranscriptDone,
    TranscriptError,
    VerboseTranscript,
)
from edge.api.token_types import (
    NewToken,
    RevokedToken,
    RotateRequest,
    TokenPage,
    TokenRequest,
    TokensQuery,
)
from edge.engines.audio.formats import FORMATS
from shared import edge_status

TEXT, AUDIO, MODELS, SERVICE = "Text", "Audio", "Models", "Service"
ACCOUNTS = "Accounts"

LOOKING = frozenset({Scope.INFERENCE, Scope.READ, Scope.SUPERADMIN})
"""Who may see what there is: those that run models too, as the published clients do."""

KEEPING = frozenset({Scope.KEYS, Scope.SUPERADMIN})
"""Who may make and end keys."""

BUSY = "Requests are in flight, and `force` was not set"

INFERENCE_HEADERS = ("X-Provocapi-Model", "X-Provocapi-Worker", "X-Provocapi-Queue-Ms")

OPERATIONS = (
    Operation(
        *("POST", "/v1/chat/completions", chat.chat_completions),
        access=Scope.INFERENCE,
        summary="Answer a chat",
        tag=TEXT,
        body=ChatRequest,
        response=ChatCompletion,
        event=ChatCompletionChunk | ErrorEvent,
        headers=INFERENCE_HEADERS,
        tokens=True,
    ),
    Operation(
        *("POST", "/v1/completions", completions.completions),
        access=Scope.INFERENCE,
        summary="Continue a prompt",
        tag=TEXT,
        body=CompletionRequest,
        response=TextCompletion,
        event=TextCompletion | ErrorEvent,
        headers=INFERENCE_HEADERS,
        tokens=True,
    ),
    Operation(
        *("POST", "/v1/completions/stream", completions.completions_stream),
        access=Scope.INFERENCE,
        summary="Continue a prompt, always streamed",
        tag=TEXT,
        body=CompletionRequest,
        event=TextCompletion | ErrorEvent,
        headers=INFERENCE_HEADERS,
        tokens=True,
    ),
    Operation(
        *("POST", "/v1/embeddings", embeddings.embeddings),
        access=Scope.INFERENCE,
        summary="Embed texts",
        tag=TEXT,
        body=EmbeddingRequest,
        response=EmbeddingList,
        headers=INFERENCE_HEADERS,
        tokens=True,
    ),
    Operation(
        *("POST", "/v1/audio/speech", speech.speech),
        access=Scope.INFERENCE,
        summary="Speak a text",
        tag=AUDIO,
        body=SpeechRequest,
        media=tuple(audio.content_type for audio in FORMATS.values()),
        headers=(*INFERENCE_HEADERS, "X-Pg-Inference-Ms", "X-Pg-First-Byte-Ms"),
    ),
    Operation(
        *("POST", "/v1/audio/transcriptions", transcriptions.transcriptions),
        access=Scope.INFERENCE,
        summary="Transcribe a recording",
        tag=AUDIO,
        query=TranscriptionQuery,
        form=TranscriptionForm,
        response=Transcript | VerboseTranscript,
        event=TranscriptDelta | TranscriptDone | TranscriptError,
        media=tuple(transcriptions.CONTENT_TYPES.values()),
        headers=INFERENCE_HEADERS,
    ),
    Operation(
        *("GET", "/v1/models", models.list_models),
        access=LOOKING,
        summary="List the models served here",
        tag=MODELS,
        response=ModelList,
    ),
    Operation(
        *("GET", "/v1/models/status", models.model_status),
        access=LOOKING,
        summary="Tell which models are loaded",
        tag=MODELS,
        response=ModelStatus,
    ),
    Operation(
        *("POST", "/v1/models/load", model_control.load_model),
        access=Scope.SUPERADMIN,
        summary="Load a model",
        tag=MODELS,
        body=LoadRequest,
        response=LoadAnswer,
        errors={
            "404": "The catalogue has no model of that name",
            "409": f"{BUSY}; or the model was unloaded meanwhile",
            "502": "The model's files cannot be had, are damaged, or its process did not come up",
            "503": "Too little memory, or the edge is shutting down; `Retry-After` says when to try again",
        },
        refusal=LoadRefusal,
    ),
    Operation(
        *("POST", "/v1/models/unload", model_control.unload_model),
        access=Scope.SUPERADMIN,
        summary="Unload a model",
        tag=MODELS,
        body=UnloadRequest,
        response=UnloadAnswer,
        errors={
            "404": "The catalogue has no model of that name",
            "409": BUSY,
            "503": "The model's process has not ended yet",
        },
        refusal=UnloadRefusal,
    ),
    Operation(
        *("POST", "/v1/models/unload-all", model_control.unload_all_models),
        access=Scope.SUPERADMIN,
        summary="Unload every model",
        tag=MODELS,
        body=UnloadAllRequest,
        body_required=False,
        response=UnloadAllAnswer,
        errors={"409": f"{BUSY}: no model was unloaded", "503": "No process has ended yet"},
        refusal=UnloadAllRefusal,
    ),
    Operation(
        *("GET", "/v1/models/{model:path}", models.get_model),
        access=LOOKING,
        summary="Describe one model; its id may hold slashes",
        tag=MODELS,
        response=ModelInfo,
    ),
    Operation(
        *("POST", "/v1/tokens", tokens.create_token),
        access=KEEPING,
        summary="Make an API key",
        tag=ACCOUNTS,
        body=TokenRequest,
        response=NewToken,
        status=201,
        sealed=True,
    ),
    Operation(
        *("GET", "/v1/tokens", tokens.list_tokens),
        access=KEEPING,
        summary="List API keys",
        tag=ACCOUNTS,
        query=TokensQuery,
        response=TokenPage,
    ),
    Operation(
        *("POST", "/v1/tokens/{id}/rotate", tokens.rotate_token),
        access=KEEPING,
        summary="Replace an API key by one with another text",
        tag=ACCOUNTS,
        body=RotateRequest,
        body_required=False,
        response=NewToken,
        status=201,
        sealed=True,
        errors={"409": "The key has been revoked or has expired"},
    ),
    Operation(
        *("DELETE", "/v1/tokens/{id}", tokens.revoke_token),
        access=KEEPING,
        summary="Revoke an API key",
        tag=ACCOUNTS,
        response=RevokedToken,
    ),
    Operation(
        *("GET", "/v1/usage", usage.usage),
        access=LOOKING,
        summary="Report what was used, by day and model",
        tag=ACCOUNTS,
        query=UsageQuery,
        response=UsageAnswer,
    ),
    Operation(
        *("GET", "/v1/credits", credit.show_credits),
        access=LOOKING,
        summary="Tell what credits are left, and how it came to that",
        tag=ACCOUNTS,
        query=CreditsQuery,
        response=CreditsAnswer,
    ),
    Operation(
        *("POST", "/v1/credits/grants", credit.grant_credits),
        access=Scope.SUPERADMIN,
        summary="Give a tenant credits",
        tag=ACCOUNTS,
        body=GrantRequest,
        response=GrantAnswer,
        errors={"404": "There is no tenant of that id"},
    ),
    Operation(
        *("GET", "/health", health.health),
        access=Access.OPEN,
        summary="Tell how this edge is; 503 once it is shutting down",
        tag=SERVICE,
        response=Health,
    ),
    Operation(
        *("GET", edge_status.PATH, internal_status.internal_status),
        access=Access.INTERNAL,
        summary="Tell the autorouter how busy each model is",
        tag=SERVICE,
        media=(edge_status.CONTENT_TYPE,),
    ),
    Operation(
        *("GET", "/metrics", metrics.metrics),
        access=Access.INTERNAL,
        summary="Tell Prometheus the numbers of this edge",
        tag=SERVICE,
        media=("text/plain",),
    ),
    Operation(
        *("GET", "/openapi.json", docs.openapi),
        access=Access.OPEN,
        summary="Return this document",
        tag=SERVICE,
        media=("application/json",),
    ),
    Operation(
        *("GET", "/docs", docs.docs),
        access=Access.OPEN,
        summary="Show this document as a page",
        tag=SERVICE,
        media=("text/html",),
    ),
    Operation(
        *("GET", "/docs/assets/{name}", docs.asset),
        access=Access.OPEN,
        summary="Return a file of that page",
        tag=SERVICE,
        media=tuple(docs.ASSETS.values()),
    ),
)
"""The order counts: the first path that matches serves a request."""
