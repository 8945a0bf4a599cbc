"""A good body for every endpoint that takes JSON."""

from typing import Any

CHAT, COMPLETIONS = "/v1/chat/completions", "/v1/completions"
EMBEDDINGS, SPEECH, TRANSCRIPTIONS = "/v1/embeddings", "/v1/audio/speech", "/v1/audio/transcriptions"

GOOD: dict[str, dict[str, Any]] = {
    CHAT: {
        "model": "smollm2-135m-instruct",
        "messages": [{"role": "user", "content": "Hello"}],
        "max_tokens": 1,
    },
    COMPLETIONS: {"model": "smollm2-135m-instruct", "prompt": "Hello", "max_tokens": 1},
    EMBEDDINGS: {"model": "all-minilm-l6-v2", "input": "Hello"},
    SPEECH: {"model": "kokoro-82m", "input": "Hello.", "voice": "af_bella"},
}
