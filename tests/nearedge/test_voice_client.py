import json
from collections.abc import AsyncIterator, Callable
from typing import TypeVar

import httpx
import pytest

from nearedge.voice_client import Unspeakable, VoiceClient, VoiceError

pytestmark = pytest.mark.anyio

T = TypeVar("T")
Handler = Callable[[httpx.Request], httpx.Response]


def client(handler: Handler, url: str = "http://edge.test/v1/") -> VoiceClient:
    return VoiceClient(url, "pg_key", transport=httpx.MockTransport(handler))


def events(*items: object) -> httpx.Response:
    lines = [f"data: {item if isinstance(item, str) else json.dumps(item)}\n\n" for item in items]
    return httpx.Response(200, text=": hello\n\n" + "".join(lines))


def delta(text: str) -> dict[str, object]:
    return {"choices": [{"index": 0, "delta": {"content": text}}]}


async def all_of(pieces: AsyncIterator[T]) -> list[T]:
    return [piece async for piece in pieces]


async def test_what_is_heard_comes_in_pieces() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        assert request.url == "http://edge.test/v1/audio/transcriptions"
        assert request.headers["authorization"] == "Bearer pg_key"
        body = request.read()
        assert b'filename="question.mp3"' in body
        assert b"SOUND" in body
        return events(
            {"type": "transcript.text.delta", "delta": "Who"},
            {"type": "transcript.text.delta", "delta": " am I?"},
            {"type": "transcript.text.done", "text": "Who am I?"},
            "[DONE]",
        )

    async with client(answer) as edge:
        assert await all_of(edge.transcribe(b"SOUND", "question.mp3", model="whisper-1")) == ["Who", " am I?"]


async def test_an_answer_comes_in_pieces() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        body = json.loads(request.content)
        assert (body["model"], body["stream"], body["max_tokens"]) == ("m", True, 7)
        return events(
            {"choices": [{"delta": {"role": "assistant"}}]},
            delta("You"),
            delta("!"),
            {"choices": []},
            "[DONE]",
        )

    async with client(answer) as edge:
        assert await all_of(edge.chat([{"role": "user", "content": "?"}], model="m", max_tokens=7)) == [
            "You",
            "!",
        ]


async def test_sound_comes_as_it_is() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        body = json.loads(request.content)
        assert (body["input"], body["voice"], body["response_format"]) == ("Hello.", "alloy", "pcm")
        return httpx.Response(200, content=b"\x01\x02\x03\x04")

    async with client(answer) as edge:
        assert (
            b"".join(await all_of(edge.speak("Hello.", model="tts-1", voice="alloy"))) == b"\x01\x02\x03\x04"
        )


@pytest.mark.parametrize(
    ("status", "error", "unspeakable"),
    [
        (400, {"param": "input"}, True),
        (400, {"param": "response_format"}, False),
        (502, {"param": "voice"}, False),
        (503, {"param": "input"}, False),
        (400, None, False),
    ],
)
async def test_a_text_that_cannot_be_spoken_is_told_from_other_failures(
    status: int, error: object, unspeakable: bool
) -> None:
    async with client(lambda _: httpx.Response(status, json={"detail": "no", "error": error})) as edge:
        with pytest.raises(VoiceError, match=f"{status}: no") as raised:
            await all_of(edge.speak("\N{SNOWMAN}", model="tts-1", voice="alloy"))
    assert isinstance(raised.value, Unspeakable) == unspeakable


async def test_the_first_model_that_chats_is_found() -> None:
    models = [{"id": "ear"}, {"id": "b", "pg_model_type": "chat"}, {"id": "c", "pg_model_type": "chat"}]
    async with client(lambda _: httpx.Response(200, json={"data": models})) as edge:
        assert await edge.chat_model() == "b"


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (httpx.Response(401, json={"detail": "Invalid API key"}), "401: Invalid API key"),
        (httpx.Response(502, text="bad gateway"), "502: bad gateway"),
        (events({"error": {"message": "the worker died"}}, "[DONE]"), "the worker died"),
        (events({"type": "error", "error": "the worker died"}), "the worker died"),
        (events(delta("You")), "broke off"),
        (events("hello"), "no JSON objects"),
        (events("7"), "no JSON objects"),
    ],
)
async def test_what_goes_wrong_is_told(answer: httpx.Response, told: str) -> None:
    async with client(lambda _: answer) as edge:
        with pytest.raises(VoiceError, match=told):
            await all_of(edge.chat([], model="m", max_tokens=7))


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (httpx.ConnectError("refused"), "no edge answers at http://edge.test; start"),
        (httpx.ReadTimeout(""), "broke off: ReadTimeout"),
    ],
)
async def test_an_edge_that_does_not_answer_is_told(error: Exception, told: str) -> None:
    def answer(_request: httpx.Request) -> httpx.Response:
        raise error

    async with client(answer) as edge:
        with pytest.raises(VoiceError, match=told):
            await edge.chat_model()


@pytest.mark.parametrize("content", ["<html>", "[]", '{"data": [1]}', '{"data": null}'])
async def test_what_is_no_edge_is_told(content: str) -> None:
    async with client(lambda _: httpx.Response(200, text=content)) as edge:
        with pytest.raises(VoiceError, match="is no edge"):
            await edge.chat_model()


async def test_an_edge_without_a_model_that_chats_is_told() -> None:
    async with client(lambda _: httpx.Response(200, json={"data": [{"id": "ear"}]})) as edge:
        with pytest.raises(VoiceError, match="serves no model that chats"):
            await edge.chat_model()


@pytest.mark.parametrize("url", ["localhost:8081", "ftp://edge.test", "http://", ""])
def test_what_is_no_url_is_refused(url: str) -> None:
    with pytest.raises(VoiceError, match="is no URL of an edge"):
        VoiceClient(url, "pg_key")


def test_a_key_that_no_header_can_hold_is_refused_without_showing_it() -> None:
    with pytest.raises(VoiceError, match="no key has") as raised:
        VoiceClient("http://edge.test", "pg_\N{SNOWMAN}")
    assert "pg_" not in str(raised.value)
