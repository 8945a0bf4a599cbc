from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import replace

import anyio
import pytest

from nearedge.voice_client import Unspeakable, VoiceClient, VoiceError
from nearedge.voice_loop import Order, Turn, VoiceLoop

pytestmark = pytest.mark.anyio

ORDER = Order(b"SOUND", "question.wav", "ear", "brain", "mouth", "alloy", 50)
FIRST, SECOND = "The capital of Canada is Ottawa. ", "It lies on a river in the east."
SECONDS = 5.0
"""How long a test may wait for what is to happen at once."""


class ScriptedClient(VoiceClient):
    """Writes the second sentence of its answer only once the first one is being spoken."""

    def __init__(self, heard: str = "Where am I?", answer: Sequence[str] = (FIRST, SECOND)) -> None:
        self.heard = heard
        self.answer = answer
        self.spoken: list[str] = []
        self.asked: list[Mapping[str, str]] = []
        self.speaking = anyio.Event()

    async def chat_model(self) -> str:
        return "the first one"

    async def transcribe(self, recording: bytes, name: str, *, model: str) -> AsyncGenerator[str, None]:
        assert (recording, name, model) == (b"SOUND", "question.wav", "ear")
        for word in self.heard.split(" "):
            yield f" {word}"

    async def chat(
        self, messages: Sequence[Mapping[str, str]], *, model: str, max_tokens: int
    ) -> AsyncGenerator[str, None]:
        assert max_tokens == 50
        self.asked = [*messages, {"model": model}]
        for number, piece in enumerate(self.answer):
            if number:
                yield piece[0]  # the white space before it ends the sentence
                with anyio.fail_after(SECONDS):
                    await self.speaking.wait()
                yield piece[1:]
            else:
                yield piece

    async def speak(self, text: str, *, model: str, voice: str) -> AsyncGenerator[bytes, None]:
        assert (model, voice) == ("mouth", "alloy")
        self.spoken.append(text)
        self.speaking.set()
        yield b"ab"
        yield b"cd"


class Choosy(ScriptedClient):
    """Speaks no snowmen."""

    async def speak(self, text: str, *, model: str, voice: str) -> AsyncGenerator[bytes, None]:
        if "\N{SNOWMAN}" in text:
            self.speaking.set()
            raise Unspeakable("input holds nothing that can be pronounced")
        async for piece in super().speak(text, model=model, voice=voice):
            yield piece


def ignore(_who: str, _text: str) -> None:
    pass


async def run(client: VoiceClient, order: Order = ORDER) -> Turn:
    with anyio.fail_after(SECONDS):
        return await VoiceLoop(client, ignore).run(order)


async def test_the_answer_is_spoken_while_it_is_written() -> None:
    client = ScriptedClient()
    told: list[tuple[str, str]] = []
    with anyio.fail_after(SECONDS):
        turn = await VoiceLoop(client, lambda who, text: told.append((who, text))).run(ORDER)

    assert client.spoken == [FIRST.strip(), SECOND]
    assert client.asked[1:] == [{"role": "user", "content": "Where am I?"}, {"model": "brain"}]
    assert turn.answer == FIRST + SECOND
    assert bytes(turn.sound) == b"abcd" * 2
    assert told[:3] == [("question", " Where"), ("question", " am"), ("question", " I?")]
    assert told[3] == ("answer", FIRST)


async def test_every_stage_has_its_times() -> None:
    turn = await run(ScriptedClient())
    for stage in (turn.hearing, turn.thinking, turn.speaking):
        assert stage.first is not None
        assert stage.began <= stage.first <= stage.ended
    assert turn.hearing.ended <= turn.thinking.began <= turn.speaking.began < turn.thinking.ended
    assert turn.playback.first_at is not None
    assert turn.playback.size_bytes == 8


async def test_without_a_chat_model_the_edge_is_asked_for_one() -> None:
    client = ScriptedClient()
    await run(client, replace(ORDER, chat_model=None))
    assert client.asked[-1] == {"model": "the first one"}


@pytest.mark.parametrize(
    ("client", "told"),
    [
        (ScriptedClient(heard=""), "nothing is said in question.wav"),
        (ScriptedClient(answer=["... !"]), "nothing that can be said"),
        (Choosy(answer=["\N{SNOWMAN} stands for a snowman."]), "nothing that can be said"),
    ],
)
async def test_silence_is_told(client: ScriptedClient, told: str) -> None:
    with pytest.raises(VoiceError, match=told):
        await run(client)


@pytest.mark.parametrize("place", [0, 1, 2])
async def test_a_sentence_that_cannot_be_spoken_is_left_out(place: int) -> None:
    unspeakable = "\N{SNOWMAN} stands for a snowman in Unicode."
    answer = [FIRST.strip(), SECOND]
    answer.insert(place, unspeakable)
    turn = await run(Choosy(answer=[" ".join(answer)]))
    assert turn.unspoken == [unspeakable]
    assert bytes(turn.sound) == b"abcd" * 2
    assert turn.answer == " ".join(answer)


async def test_a_stage_that_fails_ends_the_others() -> None:
    class Mute(ScriptedClient):
        async def speak(self, text: str, *, model: str, voice: str) -> AsyncGenerator[bytes, None]:
            raise VoiceError("the voice is gone")
            yield b""

    with pytest.raises(VoiceError, match="the voice is gone"):
        await run(Mute())
