"""What clients may send. The same types validate the requests and make the API document."""

from edge.api.requests.audio import SpeechRequest, TranscriptionForm, TranscriptionQuery, VoicesQuery
from edge.api.requests.chat import ChatRequest
from edge.api.requests.completions import MAX_PROMPTS, CompletionRequest
from edge.api.requests.embeddings import EmbeddingRequest
from edge.api.requests.messages import ImagePart, Message, TextPart
from edge.api.requests.sampling import Sampling, StreamOptions
from edge.api.requests.tools import Function, NamedFunction, NamedTool, Tool

__all__ = [
    "MAX_PROMPTS",
    "ChatRequest",
    "CompletionRequest",
    "EmbeddingRequest",
    "Function",
    "ImagePart",
    "Message",
    "NamedFunction",
    "NamedTool",
    "Sampling",
    "SpeechRequest",
    "StreamOptions",
    "TextPart",
    "Tool",
    "TranscriptionForm",
    "TranscriptionQuery",
    "VoicesQuery",
]
