import json
from typing import Any

import jsonschema
import pytest

from edge.engines.base import InvalidRequest
from edge.engines.llm.tools.formats import (
    HermesFormat,
    LlamaFormat,
    MistralFormat,
    MistralListFormat,
    ToolFormat,
    native_format,
)
from edge.workers.messages import ToolCall
from tests.edge.engines.llm.tools.walks import Vocabulary, accepts, walk

WEATHER = {
    "name": "weather",
    "parameters": {
        "type": "object",
        "properties": {
            "city": {"type": "string", "minLength": 2, "maxLength": 12},
            "unit": {"enum": ["c", "f"]},
            "days": {"type": "integer", "minimum": 1, "maximum": 14},
        },
        "required": ["city", "days"],
    },
}
CODE = {
    "name": "weather-code",
    "parameters": {
        "type": "object",
        "properties": {
            "code": {"type": "string", "pattern": "^[A-Z]{2}-[0-9]{2}$"},
            "at": {"$ref": "#/$defs/point"},
            "tags": {"type": "array", "items": {"type": "boolean"}, "maxItems": 3},
        },
        "required": ["code", "at"],
        "$defs": {
            "point": {
                "type": "object",
                "properties": {"x": {"type": "number", "exclusiveMinimum": 0, "maximum": 9}},
                "required": ["x"],
                "additionalProperties": False,
            }
        },
    },
}
NOW = {"name": "now"}
TOOLS: list[dict[str, Any]] = [WEATHER, CODE, NOW]

CLASSES = [HermesFormat, LlamaFormat, MistralListFormat, MistralFormat]


def _vocabulary(kind: type[ToolFormat], spelling: str) -> Vocabulary:
    return Vocabulary(() if spelling == "text" else kind.markers, control=spelling == "control")


def _calls(markup: ToolFormat, text: str, *, parallel: bool = True) -> tuple[str, list[tuple[str, Any]]]:
    """Return the text around the calls in *text*, and the calls with their arguments."""
    parser = markup.parser(TOOLS, parallel=parallel)
    calls: list[tuple[str, str]] = []
    around = ""
    for event in parser.feed(text) + parser.finish():
        if not isinstance(event, ToolCall):
            around += event.text
        elif event.id is not None:
            assert event.index == len(calls)
            calls.append((str(event.name), event.arguments))
        else:
            calls[event.index] = (calls[event.index][0], calls[event.index][1] + event.arguments)
    assert parser.called == bool(calls)
    return around, [(name, json.loads(arguments)) for name, arguments in calls]


def _assert_valid(calls: list[tuple[str, Any]]) -> None:
    schemas = {tool["name"]: tool.get("parameters", {"maxProperties": 0}) for tool in TOOLS}
    for name, arguments in calls:
        jsonschema.validate(arguments, schemas[name])


@pytest.mark.parametrize("spelling", ["text", "control", "token"])
@pytest.mark.parametrize("kind", CLASSES)
def test_whatever_a_forced_grammar_allows_is_calls_that_fit_their_schema(
    kind: type[ToolFormat], spelling: str
) -> None:
    vocabulary = _vocabulary(kind, spelling)
    markup = kind(vocabulary.ids.get)
    grammar = markup.grammar(TOOLS)
    seen = set()
    most = 0
    for seed in range(60):
        text = walk(vocabulary, grammar, seed)
        if text is None:
            continue
        around, calls = _calls(markup, text)
        assert around == ""
        assert calls
        _assert_valid(calls)
        seen |= {name for name, _ in calls}
        most = max(most, len(calls))
    assert seen == {"weather", "weather-code", "now"}
    assert (most > 1) is kind.parallel


@pytest.mark.parametrize("kind", CLASSES)
def test_one_call_or_a_named_one_is_all_that_is_allowed(kind: type[ToolFormat]) -> None:
    vocabulary = Vocabulary()
    markup = kind()
    for tool in TOOLS:
        grammar = markup.grammar(TOOLS, name=tool["name"], parallel=False)
        for seed in range(10):
            text = walk(vocabulary, grammar, seed)
            assert text is not None
            around, [(name, arguments)] = _calls(markup, text, parallel=False)
            assert around == ""
            assert name == tool["name"]
            _assert_valid([(name, arguments)])


@pytest.mark.parametrize("kind", CLASSES)
def test_a_call_ends_the_generation_when_only_one_is_allowed(kind: type[ToolFormat]) -> None:
    vocabulary = Vocabulary()
    markup = kind()
    grammar = markup.grammar(TOOLS, name="now", parallel=False)
    matcher = vocabulary.matcher(grammar)
    text = walk(vocabulary, grammar, 1)
    assert text is not None
    assert matcher.try_consume_tokens(vocabulary(text)) == len(text)
    assert matcher.is_stopped()
    parser = markup.parser(TOOLS, parallel=False)
    events = parser.feed(text)
    assert parser.complete
    assert [event.arguments for event in events if isinstance(event, ToolCall)] == ["", "{}"]
    assert parser.feed(text) == parser.finish() == []


def test_a_function_without_arguments_gets_an_empty_object() -> None:
    vocabulary = Vocabulary()
    for parameters in (None, {}, {"type": "object"}, {"type": "object", "properties": {}, "required": []}):
        grammar = HermesFormat().grammar([{"name": "now", "parameters": parameters}], parallel=False)
        assert walk(vocabulary, grammar, 3) == '<tool_call>\n{"name": "now", "arguments": {}}\n</tool_call>'


def test_a_schema_that_says_what_else_there_may_be_stays_as_it_is() -> None:
    schema = {"type": "object", "properties": {"a": {"const": 1}}, "additionalProperties": {"type": "string"}}
    grammar = LlamaFormat().grammar([{"name": "f", "parameters": schema}])
    vocabulary = Vocabulary()
    assert accepts(vocabulary, grammar, '{"name": "f", "parameters": {"a": 1, "b": "x"}}')
    assert not accepts(vocabulary, grammar, '{"name": "f", "parameters": {"a": 1, "b": 2}}')
    closed = LlamaFormat().grammar([{"name": "f", "parameters": {"properties": {"a": {"const": 1}}}}])
    assert accepts(vocabulary, closed, '{"name": "f", "parameters": {"a": 1}}')
    assert not accepts(vocabulary, closed, '{"name": "f", "parameters": {"a": 1, "b": "x"}}')


def test_no_schema_can_loosen_the_grammar() -> None:
    schema = {
        "type": "object",
        "properties": {"a": {"const": 1}},
        "required": ["a"],
        "x-guidance": {"lenient": True, "whitespace_flexible": True},
    }
    grammar = LlamaFormat().grammar([{"name": "f", "parameters": schema}])
    assert accepts(Vocabulary(), grammar, '{"name": "f", "parameters": {"a": 1}}')
    assert not accepts(Vocabulary(), grammar, '{"name": "f", "parameters": {  "a": 1}}')


@pytest.mark.parametrize("parameters", [{"type": "string"}, {"type": ["array"]}])
def test_arguments_that_are_no_object_are_refused(parameters: dict[str, Any]) -> None:
    tools: list[dict[str, Any]] = [NOW, {"name": "f", "parameters": parameters}]
    for make in (HermesFormat().grammar, HermesFormat().auto_grammar, HermesFormat().schemas):
        with pytest.raises(InvalidRequest, match="object") as caught:
            make(tools)
        assert caught.value.param == "tools.1.function.parameters"


def test_the_schemas_that_grammars_enforce_can_be_asked_for() -> None:
    schemas = HermesFormat().schemas(TOOLS)
    assert [param for param, _ in schemas] == ["tools.0.function.parameters", "tools.1.function.parameters"]
    assert schemas[0][1] == WEATHER["parameters"] | {"additionalProperties": False}  # type: ignore[operator]
    assert [param for param, _ in HermesFormat().schemas(TOOLS, name="weather-code")] == [
        "tools.1.function.parameters"
    ]


def test_a_schema_that_cannot_be_enforced_is_refused_only_if_calls_are_forced() -> None:
    odd = {"name": "odd", "parameters": {"type": "object", "properties": {"a": {"pattern": "(?=x)"}}}}
    with pytest.raises(InvalidRequest, match="pattern") as caught:
        HermesFormat().grammar([NOW, odd])
    assert caught.value.param == "tools.1.function.parameters"
    assert HermesFormat().grammar([NOW, odd], name="now")
    free = HermesFormat().auto_grammar([NOW, odd])
    for arguments, taken in (('{"any": 1}', True), ("[1]", False)):
        call = f'<tool_call>\n{{"name": "odd", "arguments": {arguments}}}\n</tool_call>'
        assert accepts(Vocabulary(), free, call) is taken


AUTO = {
    HermesFormat: '<tool_call>\n{"name": "weather", "arguments": {"city": "Ulm", "days": 2}}\n</tool_call>',
    LlamaFormat: '{"name": "weather", "parameters": {"city": "Ulm", "days": 2}}',
    MistralListFormat: '[TOOL_CALLS][{"name": "weather", "arguments": {"city": "Ulm", "days": 2}}]',
    MistralFormat: '[TOOL_CALLS]weather[ARGS]{"city": "Ulm", "days": 2}',
}


@pytest.mark.parametrize("parallel", [True, False])
@pytest.mark.parametrize("kind", CLASSES)
def test_without_being_forced_a_model_writes_text_or_calls_that_fit(
    kind: type[ToolFormat], parallel: bool
) -> None:
    vocabulary = Vocabulary()
    grammar = kind().auto_grammar(TOOLS, parallel=parallel)
    call = AUTO[kind]
    before = "" if kind is LlamaFormat else "Let me see: "
    for text in ("", "Hello", "1 < 2 { [TOOL", '{"name": "nobody", "x": 1}', before + call):
        assert accepts(vocabulary, grammar, text), text
    for text in (call.replace("2", '"2"'), call.replace("weather", "weathers"), call.replace("city", "town")):
        if text.startswith('{"name": "weathers"'):
            continue  # an answer in JSON that is no call
        assert not accepts(vocabulary, grammar, text), text
    assert accepts(vocabulary, grammar, call + "\n" + call) is (parallel and kind.parallel)


@pytest.mark.parametrize("control", [True, False])
def test_markers_that_are_tokens_are_taken_in_free_text(control: bool) -> None:
    markers = (*HermesFormat.markers, "<think>", "</think>")
    vocabulary = Vocabulary(markers, control=control)
    grammar = HermesFormat(vocabulary.ids.get).auto_grammar(TOOLS)
    opener, closer, think, thought = (vocabulary.ids[marker] for marker in markers)
    body = '\n{"name": "now", "arguments": {}}\n'
    assert accepts(vocabulary, grammar, ["Hm. ", opener, body, closer])
    assert accepts(
        vocabulary, grammar, [think, "well", thought, "\n", opener, body, closer, "\n", opener, body, closer]
    )
    assert not accepts(vocabulary, grammar, [opener, "{}", closer])


def test_hidden_markers_are_shown_to_the_parser() -> None:
    markup = MistralFormat({"[TOOL_CALLS]": 5, "[ARGS]": 32, "<think>": 9}.get)
    assert markup.shown == {5: b"[TOOL_CALLS]", 32: b"[ARGS]"}


def test_mistral_calls_may_carry_ids() -> None:
    grammar = MistralFormat(call_ids=True).grammar([NOW], parallel=False)
    text = "[TOOL_CALLS]now[CALL_ID]abcDEF123[ARGS]{}"
    assert accepts(Vocabulary(), grammar, text)
    assert _calls(MistralFormat(), text) == ("", [("now", {})])


@pytest.mark.parametrize(
    ("source", "kind"),
    [
        ("{{ '<tool_call>{\"name\": ' }}{{ call.arguments | tojson }}", HermesFormat),
        ("'{\"name\": function name, \"parameters\": …}' '<|start_header_id|>'", LlamaFormat),
        ('<|python_tag|> "{\\"name\\": …, \\"parameters\\": …}"', LlamaFormat),
        ("[AVAILABLE_TOOLS] [TOOL_CALLS] [", MistralListFormat),
        ("[TOOL_CALLS]{{ name }}[ARGS]{{ arguments }}", MistralFormat),
        ("<tool_call>\n<function=name>\n<parameter=argument> arguments", None),
        ("<tool_call>name<arg_key>key</arg_key> arguments", None),
        ("<|im_start|>{{ message.role }}", None),
        ("<|start_header_id|>{{ message.role }}", None),
    ],
)
def test_a_template_tells_its_format(source: str, kind: type[ToolFormat] | None) -> None:
    assert type(native_format(source)) is (kind or type(None))
