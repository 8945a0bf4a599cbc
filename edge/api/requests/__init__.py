"""What clients may send. The same types validate the requests and make the API document."""

from edge.api.requests.audio import SpeechRequest, VoicesQuery
from edge.api.requests.chat import ChatRequest
from edge.api.requests.completions import MAX_PROMPTS, CompletionRequest
from edge.api.requests.embeddings import EmbeddingRequest
from edge.api.requests.messages import ImagePart, Message
from edge.api.requests.sampling import Sampling, StreamOptions
from edge.api.requests.tools import Function, NamedFunction, NamedTool, Tool
from edge.api.requests.transcriptions import (
    JobCancelQuery,
    JobQuery,
    TranscriptionForm,
    TranscriptionQuery,
    TranslationForm,
)

__all__ = [
    "MAX_PROMPTS",
    "ChatRequest",
    "CompletionRequest",
    "EmbeddingRequest",
    "Function",
    "ImagePart",
    "JobCancelQuery",
    "JobQuery",
    "Message",
    "NamedFunction",
    "NamedTool",
    "Sampling",
    "SpeechRequest",
    "StreamOptions",
    "Tool",
    "TranscriptionForm",
    "TranscriptionQuery",
    "TranslationForm",
    "VoicesQuery",
]
