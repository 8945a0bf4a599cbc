from collections.abc import Mapping, Sequence
from typing import cast

import pytest

from benchmarks.llm.client import Answer
from benchmarks.llm.servers import Server
from benchmarks.llm.workloads.chat import Chats, converse


class Recorder:
    def __init__(self) -> None:
        self.heard: list[list[tuple[str, str]]] = []

    async def chat(self, messages: Sequence[Mapping[str, str]], tokens: int) -> Answer:
        self.heard.append([(message["role"], message["content"]) for message in messages])
        return Answer(0.0, (1.0,), f"answer {len(self.heard)} of {tokens}", "length")


@pytest.mark.anyio
async def test_every_turn_is_sent_with_the_whole_history() -> None:
    server = Recorder()
    await converse(cast("Server", server), "be brief", ["one", "two"], 8)
    first = [("system", "be brief"), ("user", "one")]
    assert server.heard == [first, [*first, ("assistant", "answer 1 of 8"), ("user", "two")]]


def test_times_to_first_token_are_told_by_turn() -> None:
    def answer(seconds: float) -> Answer:
        return Answer(0.0, (seconds,), "a", "length")

    chats = Chats(((answer(4.0), answer(1.0)), (answer(6.0), answer(2.0))), 10.0)
    assert [chats.first_ms(0), chats.first_ms(1), chats.first_ms()] == [5000.0, 1500.0, 3000.0]
