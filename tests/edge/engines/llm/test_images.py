"""Images in the chats of a model with a projector: random weights, but real computing."""

from pathlib import Path
from typing import Any

import pytest

from edge.engines.base import InvalidRequest
from edge.engines.llm import LlmEngine, load
from edge.workers.messages import Event, Generate, Generated, Text
from tests.edge.engines.llm.pictures import corners, image_file, noise
from tests.edge.engines.llm.projector_file import write_projector
from tests.edge.engines.running import JobEnd, run
from tests.models import pulled

OPTIONS = {"context_tokens": 512, "threads": 1, "slots": 4}
FIRST, SECOND = image_file(corners()), image_file(noise(20, 32))


@pytest.fixture(scope="module")
def seeing(tmp_path_factory: pytest.TempPathFactory) -> LlmEngine:
    model, files = pulled("smollm2-135m-instruct")
    projector = tmp_path_factory.mktemp("projector") / "mmproj.gguf"
    write_projector(projector, embedding_size=576)
    return load(files | {"projector": projector}, dict(model.options) | OPTIONS)


def ask(*images: bytes, before: str = "Look:", **fields: Any) -> Generate:
    content: list[dict[str, Any]] = [{"type": "text", "text": before}]
    content += [{"type": "image", "data": image} for image in images]
    content.append({"type": "text", "text": "What is this?"})
    messages = [{"role": "user", "content": content}]
    defaults: dict[str, Any] = {"messages": messages, "temperature": 0.0, "max_tokens": 8, "logprobs": 0}
    return Generate(**defaults | fields)


def scores(events: list[Event]) -> list[Any]:
    return [event.logprobs for event in events if isinstance(event, Text)]


def end_of(events: list[Event]) -> Generated:
    end = events[-1]
    assert isinstance(end, Generated)
    return end


def test_an_image_counts_and_is_seen(seeing: LlmEngine) -> None:
    first, second = run(seeing, ask(FIRST)), run(seeing, ask(SECOND))
    without = run(seeing, ask())

    assert end_of(first).prompt_tokens > end_of(without).prompt_tokens
    assert scores(first) != scores(second)


def test_the_same_image_is_reused_and_another_is_not(seeing: LlmEngine) -> None:
    both = ask(FIRST, SECOND, before="A long beginning that both have in common, " * 4)
    cold, warm = run(seeing, both), run(seeing, both)
    swapped = run(seeing, ask(SECOND, FIRST, before="A long beginning that both have in common, " * 4))

    assert end_of(warm).cached_tokens == end_of(warm).prompt_tokens - 1
    assert scores(warm) == scores(cold)
    assert end_of(swapped).cached_tokens < end_of(warm).cached_tokens
    assert scores(swapped) != scores(cold)


def test_chats_with_images_and_without_run_beside_each_other(seeing: LlmEngine) -> None:
    requests = [ask(FIRST), ask(), ask(SECOND, FIRST), ask(before="A story.")]
    alone = [scores(run(seeing, request)) for request in requests]
    seeing._scheduler.clear()
    seeing._context.clear()
    ends = [JobEnd(seeing, request) for request in requests]

    assert [scores(end.wait()) for end in ends] == alone


def test_what_is_no_image_is_refused(seeing: LlmEngine) -> None:
    with pytest.raises(InvalidRequest, match="image 1"):
        run(seeing, ask(FIRST, b"\x89PNG\r\n\x1a\n" + bytes(64)))


def test_a_model_without_a_projector_takes_text_only(engine: LlmEngine) -> None:
    with pytest.raises(InvalidRequest, match="text only"):
        run(engine, ask(FIRST))


def test_a_file_that_is_no_projector_is_an_error(tmp_path: Path) -> None:
    model, files = pulled("smollm2-135m-instruct")
    with pytest.raises(Exception, match=r"not a projector"):
        load(files | {"projector": files["model"]}, dict(model.options) | OPTIONS)
