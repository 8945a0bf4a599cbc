"""The calls of an edge's API that a conversation takes, each streamed."""

import json
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Any, Self

import httpx

TIMEOUT_SECONDS = 60.0
"""Longest wait for a connection, the head of an answer or the next piece of a stream."""

EVENT = "data:"
DONE = "[DONE]"


class VoiceError(Exception):
    """The conversation cannot go on; the message says why and what to change."""


class Unspeakable(VoiceError):
    """This text cannot be spoken; another may be."""


class VoiceClient:
    """Asks the edge at *url* with *key*.

    Every method raises VoiceError where the edge does not answer, refuses, or breaks off.
    """

    def __init__(self, url: str, key: str, *, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self._url = url.rstrip("/").removesuffix("/v1")
        try:
            base = httpx.URL(self._url)
            whole = base.scheme in {"http", "https"} and base.host
        except httpx.InvalidURL:
            whole = False
        if not whole:
            raise VoiceError(f"{url!r} is no URL of an edge; it begins with http:// or https://")
        if not (key.isascii() and key.isprintable()):
            raise VoiceError("the key holds characters that no key has")
        self._http = httpx.AsyncClient(
            base_url=base,
            headers={"Authorization": f"Bearer {key}"},
            timeout=TIMEOUT_SECONDS,
            verify=httpx.create_ssl_context(),
            trust_env=False,
            transport=transport,
        )

    async def __aenter__(self) -> Self:
        await self._http.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._http.__aexit__(kind, error, traceback)

    async def chat_model(self) -> str:
        """Return the id of the first model that chats."""
        async with self._asked("GET", "/v1/models") as answer:
            try:
                models = json.loads(await answer.aread())["data"]
                chatting = [model["id"] for model in models if model.get("pg_model_type") == "chat"]
            except (ValueError, KeyError, TypeError, AttributeError):
                raise VoiceError(f"what answers at {self._url} is no edge") from None
        if not chatting:
            raise VoiceError(
                f"the edge at {self._url} serves no model that chats; name one in its edge_models"
            )
        found: str = chatting[0]
        return found

    async def transcribe(self, recording: bytes, name: str, *, model: str) -> AsyncGenerator[str, None]:
        """Yield what is said in the file *recording*, called *name*, as it is heard."""
        fields = {"model": model, "stream": "true"}
        async with self._asked(
            "POST", "/v1/audio/transcriptions", data=fields, files={"file": (name, recording)}
        ) as answer:
            async for event in _events(answer):
                if event.get("type") == "transcript.text.delta":
                    yield event["delta"]

    async def chat(
        self, messages: Sequence[Mapping[str, str]], *, model: str, max_tokens: int
    ) -> AsyncGenerator[str, None]:
        """Yield the answer to *messages* as it is written."""
        body = {"model": model, "messages": list(messages), "max_tokens": max_tokens, "stream": True}
        async with self._asked("POST", "/v1/chat/completions", json=body) as answer:
            async for event in _events(answer):
                for choice in event.get("choices", ()):
                    if text := choice["delta"].get("content"):
                        yield text

    async def speak(self, text: str, *, model: str, voice: str) -> AsyncGenerator[bytes, None]:
        """Yield the sound of *text* as it is made: 24 kHz 16-bit little-endian mono.

        Raises:
            Unspeakable: nothing of it can be.
        """
        body = {"model": model, "voice": voice, "input": text, "response_format": "pcm", "stream": True}
        async with self._asked("POST", "/v1/audio/speech", json=body) as answer:
            async for piece in answer.aiter_bytes():
                yield piece

    @asynccontextmanager
    async def _asked(self, method: str, path: str, **content: Any) -> AsyncIterator[httpx.Response]:
        try:
            async with self._http.stream(method, path, **content) as answer:
                if answer.status_code != httpx.codes.OK:
                    await answer.aread()
                    told = f"{method} {path} was answered {answer.status_code}: {_detail(answer)}"
                    raise Unspeakable(told) if _is_about_the_text(answer) else VoiceError(told)
                yield answer
        except httpx.ConnectError:
            raise VoiceError(
                f"no edge answers at {self._url}; start a grid with `nearedge up`, or name an edge with --url"
            ) from None
        except (httpx.TransportError, httpx.InvalidURL) as error:
            reason = str(error) or type(error).__name__
            raise VoiceError(f"{method} {path} at {self._url} broke off: {reason}") from None


def _detail(answer: httpx.Response) -> str:
    try:
        return str(answer.json()["detail"])
    except (ValueError, KeyError, TypeError):
        return answer.text[:200] or answer.reason_phrase


def _is_about_the_text(answer: httpx.Response) -> bool:
    """Whether the text that was to be spoken is at fault, and not the voice or the model."""
    try:
        return answer.status_code == httpx.codes.BAD_REQUEST and answer.json()["error"]["param"] == "input"
    except (ValueError, KeyError, TypeError):
        return False


async def _events(answer: httpx.Response) -> AsyncIterator[dict[str, Any]]:
    """Yield the server-sent events of *answer* up to its ``[DONE]``."""
    async for line in answer.aiter_lines():
        if not line.startswith(EVENT):
            continue
        data = line.removeprefix(EVENT).strip()
        if data == DONE:
            return
        try:
            event: dict[str, Any] = dict(json.loads(data))
        except (ValueError, TypeError):
            raise VoiceError("what answers there is no edge: its events are no JSON objects") from None
        if error := event.get("error"):
            raise VoiceError(str(error["message"] if isinstance(error, dict) else error))
        yield event
    raise VoiceError("the edge broke off its answer")
