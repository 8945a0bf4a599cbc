"""Many requests at once on the real model."""

import json
import math
import random
import threading
import time
from dataclasses import replace
from typing import Any

import jsonschema
import pytest

from edge.engines.base import Cancelled, InvalidRequest
from edge.engines.llama import LlamaError, native
from edge.engines.llm import LlmEngine, load
from edge.workers.messages import Event, Generate, Generated, Text, ToolCall
from tests.edge.engines.running import JobEnd, run
from tests.models import pulled

COUNTRIES = ["France", "Italy", "Spain", "Japan", "Egypt", "Peru", "Cuba", "Chile"]
SCHEMA = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "pattern": "^[A-Z][a-z]{2,9}$"},
        "people": {"type": "integer", "minimum": 10, "maximum": 99},
    },
    "required": ["name", "people"],
    "additionalProperties": False,
}
TOOL = {"name": "find_city", "description": "Finds a city.", "parameters": SCHEMA}


@pytest.fixture(scope="module")
def small_shared_cache() -> LlmEngine:
    model, files = pulled("smollm2-135m-instruct")
    options = {"context_tokens": 256, "threads": 1, "slots": 8, "unified": True, "kv_tokens": 320}
    return load(files, dict(model.options) | options)


def ask(country: str, **fields: Any) -> Generate:
    question = [{"role": "user", "content": f"What is the capital of {country}?"}]
    defaults: dict[str, Any] = {"messages": question, "temperature": 0.0, "max_tokens": 24}
    return Generate(**defaults | fields)


def text_of(events: list[Event]) -> str:
    return "".join(event.text for event in events if isinstance(event, Text))


def end_of(events: list[Event]) -> Generated:
    end = events[-1]
    assert isinstance(end, Generated)
    return end


def together(engine: LlmEngine, requests: list[Generate]) -> list[str]:
    ends = [JobEnd(engine, request) for request in requests]
    return [text_of(end.wait()) for end in ends]


def all_is_free(engine: LlmEngine) -> bool:
    """Whether nothing runs, and llama.cpp holds no token that the scheduler does not know of."""
    deadline = time.monotonic() + 20
    while not engine.idle and time.monotonic() < deadline:
        time.sleep(0.01)
    scheduler, memory = engine._scheduler, engine._context.memory
    known = [scheduler.length(slot) for slot in range(engine._options.sequences)]
    held = [native.memory_seq_pos_max(memory, slot) + 1 for slot in range(engine._options.sequences)]
    return engine.idle and held == known and engine.free_cells == engine._options.kv_tokens


@pytest.mark.parametrize(
    "fields", [{}, {"temperature": 1.0, "seed": 7}, {"temperature": 0.7, "top_p": 0.9, "seed": 1}]
)
def test_answers_in_a_full_batch_equal_those_alone(engine: LlmEngine, fields: dict[str, Any]) -> None:
    requests = [ask(country, **fields) for country in COUNTRIES * 2]
    alone = [text_of(run(engine, request)) for request in requests[: len(COUNTRIES)]]

    assert together(engine, requests) == alone * 2
    assert len(set(alone)) == len(alone)


def test_a_cached_beginning_changes_no_answer(engine: LlmEngine) -> None:
    story = "There was once a king who had three daughters, and a castle by the sea. " * 8
    request = Generate(prompt=f"{story}The youngest of them", temperature=0.0, max_tokens=24, logprobs=0)
    engine._scheduler.clear()
    engine._context.clear()
    cold = run(engine, request)
    run(engine, Generate(prompt=f"{story}But the oldest", temperature=0.0, max_tokens=2))
    warm = run(engine, request)

    assert end_of(cold).cached_tokens == 0
    assert end_of(warm).cached_tokens > 100
    assert [event.logprobs for event in warm if isinstance(event, Text)] == [
        event.logprobs for event in cold if isinstance(event, Text)
    ]


def test_the_next_turn_of_a_chat_computes_only_what_is_new(engine: LlmEngine) -> None:
    first = [{"role": "user", "content": "Tell me something about the sea. " * 10}]
    events = run(engine, Generate(messages=first, temperature=0.0, max_tokens=12))
    turns = [*first, {"role": "assistant", "content": text_of(events)}, {"role": "user", "content": "More."}]
    end = end_of(run(engine, Generate(messages=turns, temperature=0.0, max_tokens=1)))

    assert end.cached_tokens > end.prompt_tokens - 40


def test_random_requests_and_cancels_leave_every_cell_free(engine: LlmEngine) -> None:
    choose = random.Random(5)
    waiting: list[JobEnd] = []
    for _ in range(200):
        words = " ".join(choose.choices(["sea", "king", "castle", "gold"], k=choose.randint(1, 30)))
        request = Generate(
            prompt=words,
            temperature=choose.choice([0.0, 1.0]),
            max_tokens=choose.randint(1, 8),
            seed=choose.randint(0, 9),
            caller=choose.choice("abc"),
            echo=choose.random() < 0.2,
            logprobs=choose.choice([None, None, 2]),
            json_schema=choose.choice([None, None, None, SCHEMA]),
        )
        waiting.append(JobEnd(engine, request))
        if choose.random() < 0.5:
            choose.choice(waiting).job.cancel()
        if choose.random() < 0.3:
            time.sleep(0.01)
    for end in waiting:
        try:
            assert isinstance(end.wait()[-1], Generated)
        except Cancelled:
            assert end.job.cancelled

    assert all_is_free(engine)


def test_a_cache_that_is_too_small_for_all_serves_them_one_after_another(
    small_shared_cache: LlmEngine,
) -> None:
    requests = [ask(country, max_tokens=60, caller=country) for country in COUNTRIES]
    ends = [end_of(end.wait()) for end in [JobEnd(small_shared_cache, request) for request in requests * 2]]

    assert all(end.finish_reason == "stop" or end.completion_tokens == 60 for end in ends)
    assert all_is_free(small_shared_cache)


def test_streams_go_on_while_a_long_prompt_is_read(engine: LlmEngine) -> None:
    stream = JobEnd(engine, Generate(prompt="Once upon a time", temperature=1.0, seed=3, max_tokens=400))
    while len(stream.events) < 3:
        time.sleep(0.005)
    long = JobEnd(engine, Generate(prompt="word " * 900, temperature=0.0, max_tokens=1))
    before = len(stream.events)
    while not long.events:
        assert stream.error is None
        time.sleep(0.005)
    during = len(stream.events) - before
    stream.job.cancel()
    long.wait()

    assert during >= 3


def test_a_failed_step_is_computed_again(engine: LlmEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = text_of(run(engine, ask("Peru")))
    decode = engine._context.decode
    failures = iter([LlmEngine, LlmEngine])

    def fail_twice(batch: Any) -> None:
        if next(failures, None) is not None:
            raise LlamaError("llama_decode failed with status -3")
        decode(batch)

    monkeypatch.setattr(engine._context, "decode", fail_twice)
    assert text_of(run(engine, ask("Peru"))) == expected
    assert all_is_free(engine)


def test_a_step_that_always_fails_ends_its_sequences_alone(
    engine: LlmEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_batch: Any) -> None:
        raise LlamaError("llama_decode failed with status -3")

    with monkeypatch.context() as patched:
        patched.setattr(engine._context, "decode", fail)
        with pytest.raises(LlamaError, match="status -3"):
            run(engine, ask("Peru"))
    assert text_of(run(engine, ask("Peru")))


def test_a_plan_that_fails_ends_those_who_wait_and_not_the_engine(
    engine: LlmEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_budget: int) -> None:
        raise ValueError("a fault of our own")

    with monkeypatch.context() as patched:
        patched.setattr(engine._scheduler, "plan", fail)
        with pytest.raises(ValueError, match="fault of our own"):
            run(engine, ask("Peru"))
    assert text_of(run(engine, ask("Peru")))


def test_those_who_leave_before_their_prompt_is_read_are_let_go_at_once(
    engine: LlmEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    reading = threading.Event()
    build = engine._prompts.build

    def slow(request: Generate) -> Any:
        reading.wait(20)
        return build(request)

    monkeypatch.setattr(engine._prompts, "build", slow)
    ends = [JobEnd(engine, ask("Cuba", max_tokens=2)) for _ in range(6)]
    for end in ends[2:]:
        end.job.cancel()
        end.job.cancel()
        with pytest.raises(Cancelled):
            end.wait()
    reading.set()
    assert all(end.wait() for end in ends[:2])


def test_log_probabilities_are_those_of_the_text(engine: LlmEngine) -> None:
    events = run(engine, ask("Japan", logprobs=3))
    scores = [score for event in events if isinstance(event, Text) for score in event.logprobs or []]

    assert b"".join(piece for _, piece, _, _ in scores).decode() == text_of(events)
    for token, _, own, best in scores:
        assert own <= 0
        assert best[0][0] == token
        assert len(best) == 3
        assert sum(math.exp(value) for _, _, value in best) <= 1.0001


def test_an_echo_scores_the_prompt(engine: LlmEngine) -> None:
    prompt = "The quick brown fox jumps over the lazy dog. " * 12
    events = run(engine, Generate(prompt=prompt, echo=True, logprobs=1, max_tokens=1, temperature=0.0))
    first = events[0]
    assert isinstance(first, Text)
    scores = first.logprobs or []

    assert first.text == prompt
    assert len(scores) == end_of(events).prompt_tokens
    assert scores[0][2] is None
    assert all(own < 0 for _, _, own, _ in scores[1:])
    # What is said the third time is expected: wrong rows would not show that.
    assert sum(own for _, _, own, _ in scores[-20:]) > 20 * -0.5


def test_a_prompt_alone_is_scored_like_one_that_is_continued(engine: LlmEngine) -> None:
    request = Generate(prompt=[504, 1038, 5, 504], echo=True, logprobs=3, max_tokens=0)
    told, end = run(engine, request)
    continued = run(engine, replace(request, max_tokens=1))[0]

    assert isinstance(told, Text)
    assert isinstance(continued, Text)
    assert len(told.logprobs or []) == 4
    assert (told.text, told.logprobs) == (continued.text, continued.logprobs)
    assert end_of([end]).finish_reason == "length"
    assert (end_of([end]).prompt_tokens, end_of([end]).completion_tokens) == (4, 0)
    assert all_is_free(engine)


def test_a_bias_keeps_tokens_out(engine: LlmEngine) -> None:
    plain = run(engine, ask("Cuba", logprobs=0))
    scores = [score for event in plain if isinstance(event, Text) for score in event.logprobs or []]
    banned = [(token, -100.0) for token, _, _, _ in scores]
    other = run(engine, ask("Cuba", logprobs=0, logit_bias=banned))
    drawn = {score[0] for event in other if isinstance(event, Text) for score in event.logprobs or []}

    assert drawn
    assert not drawn & {token for token, _ in banned}


@pytest.mark.parametrize("temperature", [0.0, 1.0, 2.0])
def test_json_fits_its_schema_however_hot(engine: LlmEngine, temperature: float) -> None:
    requests = [ask("Chile", json_schema=SCHEMA, temperature=temperature, seed=seed) for seed in range(4)]
    ends = [JobEnd(engine, request) for request in requests]
    for end in ends:
        jsonschema.validate(json.loads(text_of(end.wait())), SCHEMA)
        assert end_of(end.events).finish_reason == "stop"


def test_a_forced_call_fits_the_functions_schema(engine: LlmEngine) -> None:
    request = ask("Chile", tools=[TOOL], tool_choice="required", tool_name="find_city", max_tokens=80)
    events = run(engine, request)
    calls = [event for event in events if isinstance(event, ToolCall)]

    assert text_of(events) == ""
    assert (calls[0].name, calls[0].index) == ("find_city", 0)
    assert len(calls) > 3
    jsonschema.validate(json.loads("".join(call.arguments for call in calls)), SCHEMA)
    assert end_of(events).finish_reason == "tool_calls"


def test_a_forced_call_that_is_cut_off_tells_nothing_of_its_markup(engine: LlmEngine) -> None:
    for tokens in range(1, 8):
        events = run(engine, ask("Chile", tools=[TOOL], tool_choice="required", max_tokens=tokens))
        assert text_of(events) == ""
        assert end_of(events).finish_reason == "length"


def test_a_schema_that_cannot_be_enforced_is_refused(engine: LlmEngine) -> None:
    with pytest.raises(InvalidRequest) as caught:
        run(engine, ask("Chile", json_schema={"$ref": "https://example.org/city.json"}))
    assert caught.value.param == "response_format"


def test_counted_tokens_add_up(engine: LlmEngine) -> None:
    events = run(engine, ask("Japan", max_tokens=48))
    told = sum(event.tokens for event in events if isinstance(event, Text))
    end = end_of(events)

    assert told == end.completion_tokens - (end.finish_reason == "stop")
