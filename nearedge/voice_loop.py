"""One turn of a conversation: a recording is heard, answered, and the answer spoken while it is written."""

import time
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass, field

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

from nearedge.playback import Playback
from nearedge.sentences import SentenceCutter
from nearedge.voice_client import Unspeakable, VoiceClient, VoiceError

INSTRUCTIONS = (
    "You are a voice assistant. Answer in one to three short plain sentences, without lists or markup."
)

WAITING_SENTENCES = 8
"""Sentences that may wait to be spoken; when there are more, the answer is read no further meanwhile."""


@dataclass(frozen=True, slots=True)
class Order:
    """The recording and who deals with it; ``chat_model`` None is the first of the edge's."""

    recording: bytes
    name: str
    stt_model: str
    chat_model: str | None
    tts_model: str
    voice: str
    max_tokens: int


@dataclass(slots=True)
class Stage:
    """When a stage began, gave its first piece and ended, in seconds since the conversation began."""

    began: float = 0.0
    first: float | None = None
    ended: float = 0.0


@dataclass(slots=True)
class Turn:
    """What was said on both sides; ``sound`` is 24 kHz 16-bit little-endian mono, in which the sentences of
    the answer that are ``unspoken`` are missing."""

    question: str = ""
    answer: str = ""
    unspoken: list[str] = field(default_factory=list)
    sound: bytearray = field(default_factory=bytearray)
    hearing: Stage = field(default_factory=Stage)
    thinking: Stage = field(default_factory=Stage)
    speaking: Stage = field(default_factory=Stage)
    playback: Playback = field(default_factory=Playback)


Tell = Callable[[str, str], None]
"""Takes who is speaking, ``question`` or ``answer``, and what more of it there is."""


class VoiceLoop:
    """Runs one turn through *client*; *clock* gives seconds."""

    def __init__(
        self, client: VoiceClient, tell: Tell, *, clock: Callable[[], float] = time.perf_counter
    ) -> None:
        self._client = client
        self._tell = tell
        self._clock = clock
        self._started = clock()

    async def run(self, order: Order) -> Turn:
        """Return the turn once the answer is spoken to its end.

        Raises:
            VoiceError: the edge does not answer, refuses, or nothing was said on one of the sides.
        """
        turn = Turn()
        model = order.chat_model or await self._client.chat_model()
        self._started = self._clock()
        await self._hear(order, turn)
        if not turn.question.strip():
            raise VoiceError(f"nothing is said in {order.name}; record a question in it")
        try:
            async with anyio.create_task_group() as tasks:
                sentences, spoken = anyio.create_memory_object_stream[str](WAITING_SENTENCES)
                tasks.start_soon(self._think, order, model, turn, sentences)
                await self._speak(order, turn, spoken)
        except ExceptionGroup as group:
            raise _first(group) from None
        if not turn.sound:
            raise VoiceError("the model answered with nothing that can be said; ask again")
        return turn

    async def _hear(self, order: Order, turn: Turn) -> None:
        pieces = self._client.transcribe(order.recording, order.name, model=order.stt_model)
        async with aclosing(pieces):
            async for piece in pieces:
                self._note(turn.hearing)
                turn.question += piece
                self._tell("question", piece)
        turn.hearing.ended = self._now()

    async def _think(
        self, order: Order, model: str, turn: Turn, sentences: MemoryObjectSendStream[str]
    ) -> None:
        messages = [
            {"role": "system", "content": INSTRUCTIONS},
            {"role": "user", "content": turn.question.strip()},
        ]
        cutter = SentenceCutter()
        turn.thinking.began = self._now()
        pieces = self._client.chat(messages, model=model, max_tokens=order.max_tokens)
        async with sentences, aclosing(pieces):
            async for piece in pieces:
                self._note(turn.thinking)
                turn.answer += piece
                self._tell("answer", piece)
                for sentence in cutter.feed(piece):
                    await sentences.send(sentence)
            turn.thinking.ended = self._now()
            for sentence in cutter.close():
                await sentences.send(sentence)

    async def _speak(self, order: Order, turn: Turn, sentences: MemoryObjectReceiveStream[str]) -> None:
        async with sentences:
            async for sentence in sentences:
                turn.speaking.began = turn.speaking.began or self._now()
                try:
                    await self._say(order, turn, sentence)
                except Unspeakable:
                    turn.unspoken.append(sentence)
        turn.speaking.ended = self._now()

    async def _say(self, order: Order, turn: Turn, sentence: str) -> None:
        pieces = self._client.speak(sentence, model=order.tts_model, voice=order.voice)
        async with aclosing(pieces):
            async for piece in pieces:
                self._note(turn.speaking)
                turn.playback.take(piece, self._now())
                turn.sound += piece

    def _now(self) -> float:
        return self._clock() - self._started

    def _note(self, stage: Stage) -> None:
        if stage.first is None:
            stage.first = self._now()


def _first(error: Exception) -> Exception:
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    return error
