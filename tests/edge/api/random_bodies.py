"""Bodies of requests, made at random: some can be answered, most have something wrong."""

from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**25), 10**25)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"]), max_size=6), inner, max_size=3)
    ),
    max_leaves=8,
)
names = st.sampled_from(["f", "g", "h i", "", "x" * 65])
functions = st.fixed_dictionaries(
    {"name": names},
    optional={
        "description": json_values,
        "parameters": st.sampled_from([{}, {"type": "object"}, {"type": "array"}, {"maximum": 2**70}])
        | json_values,
        "strict": json_values,
    },
)
calls = st.fixed_dictionaries(
    {
        "id": st.sampled_from(["a", "b"]),
        "function": st.fixed_dictionaries({"name": names, "arguments": st.just("{}")}),
    }
)
parts = st.sampled_from(
    [
        {"type": "text", "text": "hi"},
        {"type": "image_url", "image_url": {"url": "http://127.0.0.1/"}},
        {"type": "input_audio"},
    ]
)
messages = st.fixed_dictionaries(
    {
        "role": st.sampled_from(["system", "developer", "user", "assistant", "tool", "function", "king"]),
        "content": st.sampled_from(["hello", "call f g", "torn", "order", "vary"])
        | st.lists(parts, max_size=3)
        | json_values,
    },
    optional={
        "name": json_values,
        "tool_calls": st.lists(calls, max_size=2) | json_values,
        "tool_call_id": st.sampled_from(["a", "c"]) | json_values,
        "function_call": st.just({"name": "f", "arguments": "{}"}) | json_values,
    },
)
schemas = st.sampled_from([{}, {"type": "object"}, {"minimum": 10**30}, True]) | json_values

Fields = dict[str, st.SearchStrategy[Any]]

_SHARED: Fields = {
    "stream": st.booleans(),
    "stream_options": st.just({"include_usage": True}),
    "n": st.integers(0, 4),
    "max_tokens": st.integers(0, 4097),
    "max_completion_tokens": st.integers(0, 9),
    "temperature": st.floats(-1, 3),
    "top_p": st.floats(-1, 2),
    "top_k": st.integers(-1, 60_000),
    "min_p": st.floats(-1, 2),
    "seed": st.integers(-(2**64), 2**64),
    "frequency_penalty": st.floats(-3, 3),
    "presence_penalty": st.floats(-3, 3),
    "repetition_penalty": st.floats(-1, 3),
    "stop": st.lists(st.sampled_from(["", "a", "b"]), max_size=5),
    "logit_bias": st.dictionaries(
        st.sampled_from(["1", "x", "-1", "49151", "99999999999"]), st.integers(-101, 101)
    ),
    "user": st.just("somebody"),
    "metadata": st.just({"a": "b"}),
}
_CHAT: Fields = _SHARED | {
    "logprobs": st.booleans(),
    "top_logprobs": st.integers(-1, 21),
    "tools": st.lists(st.fixed_dictionaries({"function": functions}), max_size=3),
    "tool_choice": st.sampled_from(["none", "auto", "required", {"function": {"name": "f"}}]),
    "parallel_tool_calls": st.booleans(),
    "functions": st.lists(functions, max_size=3),
    "function_call": st.sampled_from(["none", "auto", {"name": "f"}]),
    "response_format": st.fixed_dictionaries(
        {"type": st.sampled_from(["text", "json_object", "json_schema", "xml"])},
        optional={"json_schema": st.fixed_dictionaries({}, optional={"schema": schemas})},
    ),
    "modalities": st.just(["text"]),
    "enable_thinking": st.booleans(),
}
_COMPLETION: Fields = _SHARED | {
    "logprobs": st.integers(-1, 21),
    "echo": st.booleans(),
    "suffix": st.just("") | st.text(max_size=3),
    "best_of": st.integers(0, 4),
}
_MODEL = st.just("smollm2")
_PROMPTS = st.sampled_from(["hello", "torn", ["a", "vary"], [1, 2], [[1], [49151]], [-1], "", [[]]])
_CHATS = st.lists(messages, min_size=1, max_size=3)


def _wild(fields: Fields) -> Fields:
    return {name: field | json_values for name, field in fields.items()}


_GOOD_SHARED: Fields = {
    "n": st.integers(1, 3),
    "max_tokens": st.integers(1, 9),
    "max_completion_tokens": st.integers(1, 9),
    "temperature": st.floats(0, 2),
    "top_p": st.floats(0, 1),
    "top_k": st.integers(0, 60_000),
    "min_p": st.floats(0, 1),
    "frequency_penalty": st.floats(-2, 2),
    "presence_penalty": st.floats(-2, 2),
    "repetition_penalty": st.floats(0.01, 10),
    "stop": st.lists(st.sampled_from(["a", "b", "é"]), max_size=4) | st.just(" "),
    "logit_bias": st.dictionaries(st.sampled_from(["1", "49151"]), st.integers(-100, 100)),
}
_GOOD_FUNCTIONS = st.lists(
    st.fixed_dictionaries(
        {"name": st.sampled_from(["f", "g"])},
        optional={
            "description": st.just("Does it."),
            "parameters": st.sampled_from([{}, {"properties": {"a": {"type": "integer", "minimum": 3}}}]),
        },
    ),
    min_size=1,
    max_size=2,
    unique_by=lambda function: str(function["name"]),
)
_GOOD_CHAT: Fields = _GOOD_SHARED | {
    "top_logprobs": st.integers(0, 20),
    "tools": _GOOD_FUNCTIONS.map(lambda offered: [{"function": function} for function in offered]),
    "functions": _GOOD_FUNCTIONS,
    "response_format": st.sampled_from(
        [
            {"type": "text"},
            {"type": "json_object"},
            {"type": "json_schema", "json_schema": {"name": "a", "schema": {"enum": ["é", 5]}}},
        ]
    ),
}
_GOOD_COMPLETION: Fields = _GOOD_SHARED | {
    "logprobs": st.integers(0, 20),
    "suffix": st.just(""),
    "best_of": st.integers(1, 4),
}
_GOOD_TURNS = st.fixed_dictionaries(
    {
        "role": st.sampled_from(["system", "developer", "user", "assistant"]),
        "content": st.sampled_from(["hello", "é \ud7ff", "", [{"type": "text", "text": "hi"}]]),
    },
    optional={"name": st.just("Ann")},
)


def _mostly(good: st.SearchStrategy[Any], other: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.integers(0, 9).flatmap(lambda number: other if number > 7 else good)


def _few(required: Fields, optional: Fields, good: Fields) -> st.SearchStrategy[dict[str, Any]]:
    """Draw bodies with up to five of the *optional* fields, *good* more often than not."""
    drawn = {name: _mostly(good.get(name, field), field) for name, field in optional.items()}
    few = st.lists(st.sampled_from(sorted(optional)), max_size=5, unique=True)
    return few.flatmap(lambda names: st.fixed_dictionaries(required | {name: drawn[name] for name in names}))


chats = st.fixed_dictionaries({"model": _MODEL, "messages": _CHATS | json_values}, optional=_wild(_CHAT))
completions = st.fixed_dictionaries(
    {"model": _MODEL, "prompt": _PROMPTS | json_values}, optional=_wild(_COMPLETION)
)
likely_chats = _few(
    {"model": _MODEL, "messages": st.lists(_mostly(_GOOD_TURNS, messages), min_size=1, max_size=3)},
    _CHAT,
    _GOOD_CHAT,
)
likely_completions = _few(
    {"model": _MODEL, "prompt": _mostly(st.sampled_from(["hello", ["a", "b"], [1, 2]]), _PROMPTS)},
    _COMPLETION,
    _GOOD_COMPLETION,
)
likely_embeddings = _few(
    {
        "model": st.just("all-minilm-l6-v2"),
        "input": st.sampled_from(
            ["hello", ["a", "b"], [1, 2], [[1], [2, 3]], "", [], [""], [[]], "word " * 600, [-1], [10**6], 5]
        ),
    },
    {
        "encoding_format": st.sampled_from(["float", "base64", "hex"]),
        "dimensions": st.integers(-1, 500),
        "user": st.just("somebody"),
        "task": st.just("search"),
    },
    {"dimensions": st.integers(1, 384), "encoding_format": st.sampled_from(["float", "base64"])},
)


def several(bodies: st.SearchStrategy[dict[str, Any]], count: int) -> list[dict[str, Any]]:
    """Return *count* bodies, the same in every run.

    Each comes from a run of its own: within one, hypothesis begins with the plainest value and then tries
    variations of what it has, which leaves most fields out.
    """
    drawn: list[dict[str, Any]] = []
    for number in range(count):

        @seed(number)
        @settings(
            max_examples=2,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(bodies)
        def take(body: dict[str, Any]) -> None:
            drawn[number:] = [body]  # noqa: B023 - it is called at once

        take()
    return drawn
