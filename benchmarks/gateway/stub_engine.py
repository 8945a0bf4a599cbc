"""An engine that answers every chat at once with the same sentence, so that only the gateway is measured."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edge.engines.base import Job
from edge.workers.messages import Generated, Text

ANSWER = "Hello! How can I help you today?"
PROMPT_TOKENS, COMPLETION_TOKENS = 10, 9


class StubEngine:
    @property
    def info(self) -> dict[str, Any]:
        return {"context_tokens": 8192}

    def submit(self, job: Job) -> None:
        job.emit(Text(ANSWER, COMPLETION_TOKENS))
        job.emit(Generated("stop", PROMPT_TOKENS, COMPLETION_TOKENS))
        job.finish()


def load(_files: Mapping[str, Path], _options: Mapping[str, Any]) -> StubEngine:
    return StubEngine()
