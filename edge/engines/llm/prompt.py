"""From what a caller asks to the tokens that the model continues."""

import hashlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import llama_cpp as c
from cachetools import LRUCache

from edge.engines.base import InvalidRequest
from edge.engines.llama import Model
from edge.engines.llm.candidates import Floats
from edge.engines.llm.template import ChatTemplate
from edge.engines.llm.vision import ImageChunk, Projector, TextChunk
from edge.workers.messages import Generate

MAX_IMAGE_BYTES = 64 * 1024 * 1024
"""Embeddings of images that are kept for the next turn of their chats."""


@dataclass(frozen=True, slots=True)
class PlacedImage:
    """An image whose embeddings, shape (tokens, embedding size), stand from token *start* on."""

    start: int
    rows: Floats

    @property
    def end(self) -> int:
        return self.start + len(self.rows)


@dataclass(frozen=True, slots=True)
class Prompt:
    """The tokens of a prompt. In the place of an image are negative numbers, which no other image has."""

    tokens: list[int]
    images: tuple[PlacedImage, ...] = ()


class PromptBuilder:
    """Makes prompts of at most *context_tokens* less one. May be called from several threads."""

    def __init__(
        self, model: Model, template: ChatTemplate, projector: Projector | None, *, context_tokens: int
    ) -> None:
        self._model = model
        self._projector = projector
        self._seeing = threading.Lock()
        self._seen: LRUCache[bytes, Floats] = LRUCache(MAX_IMAGE_BYTES, getsizeof=lambda rows: rows.nbytes)
        self._template = template
        self._context_tokens = context_tokens
        bos = c.llama_vocab_bos(model.vocab)
        self._bos = model.special_piece(bos)
        self._begin = [bos] if bos >= 0 and c.llama_vocab_get_add_bos(model.vocab) else []
        self._infill: tuple[int, int, int] = (
            c.llama_vocab_fim_pre(model.vocab),
            c.llama_vocab_fim_suf(model.vocab),
            c.llama_vocab_fim_mid(model.vocab),
        )

    @property
    def infills(self) -> bool:
        """Whether the model knows how to fill in between a prompt and a suffix."""
        return min(self._infill) >= 0

    def build(self, request: Generate) -> Prompt:
        """Return the prompt of *request*.

        Raises:
            InvalidRequest: it is empty, too long, or nothing that this model takes.
        """
        if request.messages is not None:
            return self._chat(request, request.messages)
        if request.suffix is None:
            return Prompt(self._fit(self._raw(request.prompt or [], add_special=True), "prompt"))
        if not self.infills:
            raise InvalidRequest("This model cannot fill in before a suffix; leave it out", param="suffix")
        prefix, suffix, middle = self._infill
        before = self._raw(request.prompt or [], add_special=False)
        if self._begin and before[:1] == self._begin:
            del before[:1]
        after = self._tokenize(request.suffix, "suffix", add_special=False)
        longer = "suffix" if len(after) > len(before) else "prompt"
        return Prompt(self._fit([*self._begin, prefix, *before, suffix, *after, middle], longer))

    def _chat(self, request: Generate, messages: list[dict[str, Any]]) -> Prompt:
        tools = request.tools if request.tool_choice != "none" else []
        text = self._template.render(messages, tools=tools, enable_thinking=request.enable_thinking)
        images = list(_images(messages))
        if self._projector is None or not images:
            return Prompt(self._fit(self._tokenize(text, "messages", add_special=True), "messages"))
        self._check_length(text, "messages")
        add_special = not self._begins(text)
        return self._placed(self._projector, self._projector.split(text, images, add_special=add_special))

    def _placed(self, projector: Projector, chunks: list[TextChunk | ImageChunk]) -> Prompt:
        tokens: list[int] = []
        starts = []
        for chunk in chunks:
            if isinstance(chunk, TextChunk):
                tokens += chunk.tokens
            else:
                starts.append((len(tokens), chunk))
                tokens += _stand_ins(chunk)
        self._fit(tokens, "messages")
        if tokens[-1] < 0:
            raise InvalidRequest("The model's chat template ends with an image", param="messages")
        return Prompt(
            tokens, tuple(PlacedImage(start, self._embedded(projector, chunk)) for start, chunk in starts)
        )

    def _embedded(self, projector: Projector, chunk: ImageChunk) -> Floats:
        with self._seeing:  # so that one image is not encoded twice
            rows = self._seen.get(chunk.digest)
            if rows is None:
                rows = projector.encode(chunk)
                if rows.nbytes <= MAX_IMAGE_BYTES:
                    self._seen[chunk.digest] = rows
            return rows

    def text(self, prompt: str | list[int]) -> str:
        """Return what a raw *prompt* reads like."""
        if isinstance(prompt, str):
            return prompt
        return b"".join(self._model.pieces[token] for token in prompt).decode("utf-8", "replace")

    def _raw(self, prompt: str | list[int], *, add_special: bool) -> list[int]:
        if isinstance(prompt, str):
            return self._tokenize(prompt, "prompt", add_special=add_special)
        if any(not 0 <= token < self._model.vocab_size for token in prompt):
            raise InvalidRequest(
                f"prompt holds a token id outside 0 to {self._model.vocab_size - 1}", param="prompt"
            )
        return prompt.copy()

    def _tokenize(self, text: str, param: str, *, add_special: bool) -> list[int]:
        """Return the tokens of *text*, with *add_special* those that the model wants around it.

        A beginning that is written out already is not added again.
        """
        self._check_length(text, param)
        add_special = add_special and not self._begins(text)
        return self._model.tokenize(text, add_special=add_special, parse_special=True)

    def _begins(self, text: str) -> bool:
        """Whether the token that begins every prompt is written out in *text*."""
        return bool(self._bos) and text.startswith(self._bos)

    def _check_length(self, text: str, param: str) -> None:
        if len(text) > self._context_tokens * self._model.longest_piece:
            raise InvalidRequest(
                f"The prompt of {len(text)} characters cannot fit the model's context of "
                f"{self._context_tokens} tokens; shorten {param}",
                param=param,
            )

    def _fit(self, prompt: list[int], param: str) -> list[int]:
        if not prompt:
            raise InvalidRequest(f"{param} holds no text", param=param)
        if len(prompt) >= self._context_tokens:
            raise InvalidRequest(
                f"The prompt is {len(prompt)} tokens long and the model's context holds "
                f"{self._context_tokens}; shorten {param}",
                param=param,
            )
        return prompt


def _images(messages: list[dict[str, Any]]) -> Iterator[bytes]:
    for message in messages:
        content = message.get("content")
        for part in content if isinstance(content, list) else []:
            if part.get("type") == "image":
                yield part["data"]


def _stand_ins(chunk: ImageChunk) -> list[int]:
    first = int.from_bytes(hashlib.sha256(chunk.digest).digest()[:6], "big")
    return [-1 - first - number for number in range(chunk.n_tokens)]
