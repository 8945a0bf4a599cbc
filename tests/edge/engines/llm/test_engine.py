from typing import Any

import pytest

from edge.engines.base import Cancelled, InvalidRequest
from edge.engines.llama import LlamaError
from edge.engines.llm import LlmEngine, load
from edge.workers.messages import Embed, Generate, Generated, Text
from tests.edge.engines.llm.conftest import CONTEXT_TOKENS
from tests.edge.engines.running import JobEnd, run

QUESTION = [{"role": "user", "content": "What is the capital of France? Answer in one word."}]


def generate(engine: LlmEngine, **fields: Any) -> tuple[str, Generated]:
    events = run(engine, Generate(**{"temperature": 0.0, "max_tokens": 16} | fields))
    end = events[-1]
    assert isinstance(end, Generated)
    texts = [event for event in events if isinstance(event, Text)]
    return "".join(event.text for event in texts), end


def test_a_chat_is_answered_and_ends_by_itself(engine: LlmEngine) -> None:
    text, end = generate(engine, messages=QUESTION, max_tokens=32)
    assert "Paris" in text
    assert "<|im_end|>" not in text
    assert end.finish_reason == "stop"
    assert end.prompt_tokens > 10
    assert 1 < end.completion_tokens < 32


def test_max_tokens_cuts_an_answer(engine: LlmEngine) -> None:
    _, end = generate(engine, prompt="Once upon a time", max_tokens=5)
    assert (end.finish_reason, end.completion_tokens) == ("length", 5)


def test_without_max_tokens_the_context_is_the_limit(engine: LlmEngine) -> None:
    prompt = [engine._model.tokenize("word", add_special=False, parse_special=False)[0]] * (
        CONTEXT_TOKENS - 5
    )
    _, end = generate(engine, prompt=prompt, max_tokens=None, temperature=1.0, seed=1)
    assert end.prompt_tokens == CONTEXT_TOKENS - 5
    assert end.completion_tokens <= 5


def test_a_stop_string_ends_the_text_before_it(engine: LlmEngine) -> None:
    whole, _ = generate(engine, prompt="One, two, three, four,", max_tokens=12)
    stop = whole.split()[2]
    text, end = generate(engine, prompt="One, two, three, four,", max_tokens=12, stop=[stop])
    assert text == whole[: whole.index(stop)]
    assert end.finish_reason == "stop"


def test_the_same_seed_gives_the_same_text(engine: LlmEngine) -> None:
    def sampled(seed: int) -> str:
        return generate(engine, prompt="Once upon a time", temperature=1.0, seed=seed, max_tokens=12)[0]

    assert sampled(1) == sampled(1)
    assert len({sampled(seed) for seed in range(4)}) > 1


def test_sampling_parameters_reach_the_sampler(engine: LlmEngine) -> None:
    greedy, _ = generate(engine, prompt="Once upon a time")
    assert generate(engine, prompt="Once upon a time", temperature=2.0, top_k=1)[0] == greedy
    assert generate(engine, prompt="Once upon a time", temperature=2.0, top_p=0.0)[0] == greedy
    assert generate(engine, prompt="Once upon a time", temperature=2.0, min_p=1.0)[0] == greedy
    repeated = "the the the the the the"
    plain, _ = generate(engine, prompt=repeated)
    assert generate(engine, prompt=repeated, frequency_penalty=2.0, presence_penalty=2.0)[0] != plain
    assert generate(engine, prompt=repeated, repetition_penalty=2.0)[0] != plain


def test_tokens_are_a_prompt_too(engine: LlmEngine) -> None:
    tokens = engine._model.tokenize("Once upon a time", add_special=True, parse_special=False)
    assert generate(engine, prompt=tokens)[0] == generate(engine, prompt="Once upon a time")[0]


@pytest.mark.parametrize(
    ("fields", "param", "says"),
    [
        ({"prompt": "word " * 3000}, "prompt", "tokens long"),
        ({"prompt": "x" * 3_000_000}, "prompt", "cannot fit"),
        ({"messages": [{"role": "user", "content": "word " * 3000}]}, "messages", "tokens long"),
        ({"prompt": [1] * 1024}, "prompt", "tokens long"),
        ({"prompt": [1, 10**9]}, "prompt", "outside"),
        ({"prompt": [-1]}, "prompt", "outside"),
        ({"prompt": []}, "prompt", "no text"),
    ],
)
def test_prompts_that_cannot_be_served_say_why(
    engine: LlmEngine, fields: dict[str, Any], param: str, says: str
) -> None:
    with pytest.raises(InvalidRequest, match=says) as caught:
        generate(engine, **fields)
    assert caught.value.param == param


def test_what_is_not_text_generation_is_refused(engine: LlmEngine) -> None:
    with pytest.raises(InvalidRequest):
        run(engine, Embed(["a"]))


def test_cancelling_ends_a_job_and_frees_the_engine(engine: LlmEngine) -> None:
    ended = JobEnd(engine, Generate(prompt="Once upon a time", temperature=1.0, max_tokens=900))
    while len(ended.events) < 3:
        pass
    ended.job.cancel()
    with pytest.raises(Cancelled):
        ended.wait()
    assert len(ended.events) < 100
    assert generate(engine, messages=QUESTION)[1].completion_tokens > 0


def test_a_job_that_is_cancelled_at_once_hardly_runs(engine: LlmEngine) -> None:
    ended = JobEnd(engine, Generate(prompt="Once upon a time", max_tokens=900))
    ended.job.cancel()
    with pytest.raises(Cancelled):
        ended.wait()
    assert len(ended.events) < 3


def test_a_file_that_is_no_model_is_an_error(tmp_path: Any) -> None:
    file = tmp_path / "model.gguf"
    file.write_bytes(b"GGUF" + b"\x00" * 1000)
    with pytest.raises(LlamaError, match=r"model\.gguf"):
        load({"model": file}, {"context_tokens": 16, "threads": 1})
