"""The most that a call may use, told before its work begins."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from edge.accounts.measures import Measures
from edge.models.catalogue import CatalogueModel
from edge.workers.messages import Embed, Generate, Request, Speak, Transcribe
from shared.http.json import encode

FRAME_TOKENS = 32
"""Most tokens that a chat template puts around a message."""

TEMPLATE_TOKENS = 512
"""Most that it puts around them all: a system prompt of its own, how to call functions."""

LONGEST_AUDIO_SECONDS = 3600
"""Where the engine does not tell its limit."""

LEAST_BYTES_PER_SECOND = 125
"""A kilobit: no codec that is in use speaks with less."""


def worst_case(
    orders: Sequence[Request], model: CatalogueModel, info: Mapping[str, Any], *, per_prompt: int = 1
) -> Measures:
    """Return the most that *orders* to *model* may use; every *per_prompt* in a row share their prompt.

    A token is at least one byte of UTF-8, and prompt and answer fit in the context together. *info* is what
    the engine told of itself.
    """
    context: int = info.get("context_tokens") or model.context_tokens or 0
    prompt = completion = characters = audio_ms = 0
    for number, order in enumerate(orders):
        if isinstance(order, Generate):
            read = min(context, _prompt_tokens(order))
            prompt += read if number % per_prompt == 0 else 0
            completion += context if order.max_tokens is None else min(context, order.max_tokens)
        elif isinstance(order, Embed):
            prompt += sum(min(context, _size(text) + 2) for text in order.inputs)
        elif isinstance(order, Speak):
            characters += len(order.text)
        elif isinstance(order, Transcribe):
            limit = info.get("max_audio_seconds", LONGEST_AUDIO_SECONDS)
            audio_ms += round(min(limit, 1 + len(order.audio) / LEAST_BYTES_PER_SECOND) * 1000)
    return Measures(
        prompt_tokens=prompt, completion_tokens=completion, characters=characters, audio_ms=audio_ms
    )


def _prompt_tokens(order: Generate) -> int:
    if order.messages is None:
        return _size(order.prompt or "") + _size(order.suffix or "") + FRAME_TOKENS
    tokens = TEMPLATE_TOKENS + FRAME_TOKENS * len(order.messages)
    for message in order.messages:
        content = message.get("content")
        if isinstance(content, str) and len(message) == 2:  # and a role: the usual, so without a detour
            tokens += _size(content)
        elif isinstance(content, list) and any(part.get("type") == "image" for part in content):
            return 1 << 62  # how many an image takes, only the engine knows: the context is the bound
        else:
            tokens += len(encode(message))
    if order.tools:
        tokens += 2 * len(encode(order.tools))
    return tokens


def _size(text: str | Iterable[int]) -> int:
    """Return the bytes of a text, or the number of tokens."""
    if isinstance(text, str):
        return len(text) if text.isascii() else len(text.encode("utf-8", "replace"))
    return len(list(text))
