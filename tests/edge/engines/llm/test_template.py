import json
from typing import Any

import pytest

from edge.engines.base import InvalidRequest
from edge.engines.llama import Model
from edge.engines.llm.template import ChatTemplate
from edge.engines.llm.tools.formats import HermesFormat, LlamaFormat, MistralFormat, MistralListFormat
from tests.models import pulled

CHAT = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}]

TOOLS: list[dict[str, Any]] = [
    {
        "name": "weather",
        "description": "Tells the <weather>.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
    {"name": "now"},
]
CALLS = [
    {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Köln"}'}},
    {"id": "call_2", "type": "function", "function": {"name": "now", "arguments": ""}},
]
TALK: list[dict[str, Any]] = [
    {"role": "user", "content": "Weather and time?"},
    {"role": "assistant", "content": None, "tool_calls": CALLS},
    {"role": "tool", "tool_call_id": "call_1", "content": "rain"},
    {"role": "tool", "tool_call_id": "call_2", "content": [{"type": "text", "text": "noon"}]},
]

# What the templates of published models do, in short:

HERMES = """
{%- if tools %}
    {{- '<|im_start|>system\\n' }}
    {%- if messages[0].role == 'system' %}{{- messages[0].content + '\\n\\n' }}{%- endif %}
    {{- '<tools>' }}{%- for tool in tools %}{{- '\\n' }}{{- tool | tojson }}{%- endfor %}{{- '\\n</tools>' }}
    {{- '<tool_call>\\n{"name": <name>, "arguments": <object>}\\n</tool_call><|im_end|>\\n' }}
{%- endif %}
{%- for message in messages %}
    {%- if message.role == 'assistant' %}
        {{- '<|im_start|>assistant' }}
        {%- if message.content %}{{- '\\n' + message.content }}{%- endif %}
        {%- for tool_call in message.tool_calls %}
            {%- if tool_call.function %}{%- set tool_call = tool_call.function %}{%- endif %}
            {{- '\\n<tool_call>\\n{"name": "' + tool_call.name + '", "arguments": ' }}
            {{- tool_call.arguments | tojson }}{{- '}\\n</tool_call>' }}
        {%- endfor %}
        {{- '<|im_end|>\\n' }}
    {%- elif message.role == 'tool' %}
        {%- if loop.first or loop.previtem.role != 'tool' %}{{- '<|im_start|>user' }}{%- endif %}
        {{- '\\n<tool_response>\\n' + message.content + '\\n</tool_response>' }}
        {%- if loop.last or messages[loop.index0 + 1].role != 'tool' %}{{- '<|im_end|>\\n' }}{%- endif %}
    {%- elif not (tools and loop.first and message.role == 'system') %}
        {{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
    {%- if enable_thinking is defined and enable_thinking is false %}
        {{- '<think>\\n\\n</think>\\n\\n' }}
    {%- endif %}
{%- endif %}
"""

LLAMA = """
{{- bos_token }}
{%- if not tools is defined %}{%- set tools = none %}{%- endif %}
{%- if messages[0]['role'] == 'system' %}
    {%- set system_message = messages[0]['content'] | trim %}{%- set messages = messages[1:] %}
{%- else %}{%- set system_message = "" %}{%- endif %}
{{- "<|start_header_id|>system<|end_header_id|>\\n\\n" + system_message + "<|eot_id|>" }}
{%- if tools is not none %}
    {{- 'Respond with {"name": function name, "parameters": dictionary}.\\n' }}
    {%- for t in tools %}{{- t | tojson(indent=4) }}{{- "\\n\\n" }}{%- endfor %}
{%- endif %}
{%- for message in messages %}
    {%- if message.role == 'ipython' or message.role == 'tool' %}
        {{- "<|start_header_id|>ipython<|end_header_id|>\\n\\n" }}
        {{- message.content | tojson }}{{- "<|eot_id|>" }}
    {%- elif 'tool_calls' in message %}
        {%- if not message.tool_calls | length == 1 %}
            {{- raise_exception("This model only supports single tool-calls at once!") }}
        {%- endif %}
        {%- set tool_call = message.tool_calls[0].function %}
        {{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' -}}
        {{- '{"name": "' + tool_call.name + '", "parameters": ' }}
        {{- tool_call.arguments | tojson }}{{- "}<|eot_id|>" }}
    {%- else %}
        {{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n' }}
        {{- message['content'] | trim + '<|eot_id|>' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{%- endif %}
"""

MISTRAL = """
{{- bos_token }}
{%- for message in messages %}
    {%- if message['role'] == 'user' %}
        {%- if tools is not none and loop.first %}
            {{- '[AVAILABLE_TOOLS]' + tools | tojson + '[/AVAILABLE_TOOLS]' }}
        {%- endif %}
        {{- '[INST]' + message['content'] + '[/INST]' }}
    {%- elif message['tool_calls'] is defined %}
        {{- '[TOOL_CALLS][' }}
        {%- for tool_call in message.tool_calls %}
            {%- set out = tool_call.function | tojson %}{{- out[:-1] }}
            {%- if tool_call.id | length != 9 %}
                {{- raise_exception('Tool call IDs should be alphanumeric strings with length 9!') }}
            {%- endif %}
            {{- ', "id": "' + tool_call.id + '"}' }}{{- ', ' if not loop.last else ']' + eos_token }}
        {%- endfor %}
    {%- elif message['role'] == 'tool' %}
        {%- set result = {'content': message.content, 'call_id': message.tool_call_id} %}
        {{- '[TOOL_RESULTS]' + result | tojson + '[/TOOL_RESULTS]' }}
    {%- endif %}
{%- endfor %}
"""

NO_SYSTEM = """
{{- bos_token }}
{%- if messages[0]['role'] == 'system' %}{{- raise_exception('System role not supported') }}{%- endif %}
{%- for message in messages %}
    {%- if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}
        {{- raise_exception('Roles must alternate') }}
    {%- endif %}
    {{- '<turn>' + message['role'] + '\\n' + message['content'] | trim + '</turn>\\n' }}
{%- endfor %}
"""

PARTS = """
{%- for message in messages %}{{- message.role + ':' }}
    {%- for part in message.content %}{{- part.text if part.type == 'text' }}{%- endfor %}
{%- endfor %}
"""


def template(source: str | None) -> ChatTemplate:
    return ChatTemplate(source, bos_token="<s>", eos_token="</s>")


def render(source: str | None, *, enable_thinking: bool = False) -> str:
    return template(source).render(CHAT, enable_thinking=enable_thinking)


def test_without_a_template_chats_are_chatml() -> None:
    assert render(None) == (
        "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n"
    )


def test_templates_get_what_model_authors_expect() -> None:
    source = (
        "{{ bos_token }}{% for m in messages %}\n{{ m.role }}:{{ m['content'] }}{% if loop.last %}{% break %}"
        "{% endif %}{% endfor %}{% if add_generation_prompt %}|go{% endif %}"
        "{% if enable_thinking %}|think{% endif %}{% if tools is none %}|no tools{% endif %}"
    )
    assert render(source) == "<s>system:Be brief.user:Hi|go|no tools"
    assert render(source, enable_thinking=True).endswith("|think|no tools")


@pytest.mark.parametrize(
    "source",
    [
        "{{ raise_exception('roles must alternate') }}",
        "{{ messages[0].missing.deeper }}",
        "{{ 1 + messages }}",
        "{{ 1 // 0 }}",
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{{ messages.append(1) }}",
        "{{ messages.__init__.__globals__['__builtins__'].open('/etc/passwd').read() }}",
        "{% macro again() %}{{ again() }}{% endmacro %}{{ again() }}",
        "{{ 'a' * 10 ** 10 }}",
    ],
)
def test_a_template_that_fails_or_reaches_out_is_refused(source: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        render(source)
    assert caught.value.param == "messages"


def test_a_hermes_template_renders_tools_calls_and_results() -> None:
    prompt = template(HERMES).render(TALK, tools=TOOLS, enable_thinking=False)
    described = [
        {"type": "function", "function": TOOLS[0]},
        {
            "type": "function",
            "function": {
                "name": "now",
                "description": "",
                "parameters": {"type": "object", "properties": {}},
            },
        },
    ]
    tools = "\n".join(json.dumps(each) for each in described)
    assert prompt == (
        f"<|im_start|>system\n<tools>\n{tools}\n</tools>"
        '<tool_call>\n{"name": <name>, "arguments": <object>}\n</tool_call><|im_end|>\n'
        "<|im_start|>user\nWeather and time?<|im_end|>\n"
        '<|im_start|>assistant\n<tool_call>\n{"name": "weather", "arguments": {"city": "Köln"}}\n</tool_call>'
        '\n<tool_call>\n{"name": "now", "arguments": {}}\n</tool_call><|im_end|>\n'
        "<|im_start|>user\n<tool_response>\nrain\n</tool_response>\n<tool_response>\nnoon\n</tool_response><|im_end|>\n"
        "<|im_start|>assistant\n<think>\n\n</think>\n\n"
    )
    assert type(template(HERMES).tool_format) is HermesFormat
    assert "<tools>" not in template(HERMES).render(TALK, enable_thinking=True)


def test_a_llama_template_gets_one_call_a_turn() -> None:
    prompt = template(LLAMA).render(TALK, tools=TOOLS, enable_thinking=False)
    head = "<|start_header_id|>{}<|end_header_id|>\n\n"
    assert prompt.endswith(
        head.format("user")
        + "Weather and time?<|eot_id|>"
        + head.format("assistant")
        + '{"name": "weather", "parameters": {"city": "Köln"}}<|eot_id|>'
        + head.format("ipython")
        + '"rain"<|eot_id|>'
        + head.format("assistant")
        + '{"name": "now", "parameters": {}}<|eot_id|>'
        + head.format("ipython")
        + '"noon"<|eot_id|>'
        + head.format("assistant")
    )
    assert '"description": "Tells the <weather>."' in prompt
    assert type(template(LLAMA).tool_format) is LlamaFormat
    assert "Respond with" not in template(LLAMA).render(CHAT, enable_thinking=False)


def test_a_mistral_template_gets_ids_of_nine_characters() -> None:
    prompt = template(MISTRAL).render(TALK, tools=TOOLS, enable_thinking=False)
    _, calls = prompt.split("[TOOL_CALLS]")
    made, end = json.JSONDecoder().raw_decode(calls)
    assert [(call["name"], call["arguments"]) for call in made] == [
        ("weather", {"city": "Köln"}),
        ("now", {}),
    ]
    assert calls[end:] == "</s>" + "".join(
        f'[TOOL_RESULTS]{{"content": "{text}", "call_id": "{call["id"]}"}}[/TOOL_RESULTS]'
        for text, call in zip(["rain", "noon"], made, strict=True)
    )
    assert type(template(MISTRAL).tool_format) is MistralListFormat
    assert type(template(MISTRAL + "[ARGS]").tool_format) is MistralFormat


@pytest.mark.parametrize("source", [None, "{# <function= #}" + HERMES])
def test_a_template_without_a_format_that_is_known_gets_tools_as_text(source: str | None) -> None:
    chat = template(source)
    assert type(chat.tool_format) is HermesFormat
    prompt = chat.render(
        [{"role": "system", "content": "Be brief."}, *TALK], tools=TOOLS, enable_thinking=True
    )
    assert prompt.startswith("<|im_start|>system\nBe brief.\n\nYou can call functions.")
    assert prompt.count("<tools>") == 1
    assert json.dumps({"type": "function", "function": TOOLS[0]}) in prompt
    assert prompt.endswith(
        "<|im_end|>\n<|im_start|>user\nWeather and time?<|im_end|>\n"
        '<|im_start|>assistant\n<tool_call>\n{"name": "weather", "arguments": {"city": "Köln"}}\n</tool_call>'
        '\n<tool_call>\n{"name": "now", "arguments": {}}\n</tool_call><|im_end|>\n'
        "<|im_start|>user\n<tool_response>\nrain\n</tool_response>\n<tool_response>\nnoon\n</tool_response><|im_end|>\n"
        "<|im_start|>assistant\n"
    )


def test_a_template_without_system_turns_gets_tools_from_the_user() -> None:
    prompt = template(NO_SYSTEM).render([*TALK, {"role": "user", "content": "So?"}], tools=TOOLS)
    assert prompt.startswith("<s><turn>user\nYou can call functions.")
    assert "</tool_response>\nSo?</turn>" in prompt
    with pytest.raises(InvalidRequest, match="System role not supported"):
        template(NO_SYSTEM).render(CHAT, tools=TOOLS)


def test_a_template_that_wants_parts_gets_parts() -> None:
    assert render(PARTS) == "system:Be brief.user:Hi"


def test_images_are_markers_or_refused() -> None:
    message = {
        "role": "user",
        "content": [{"type": "image", "data": b"\x89"}, {"type": "text", "text": "What?"}],
    }
    sees = ChatTemplate("{{ messages[0].content }}", bos_token="", eos_token="", image_marker="<image>")
    assert sees.render([message]) == "<image>\nWhat?"
    with pytest.raises(InvalidRequest, match="text only") as caught:
        template(None).render([message])
    assert caught.value.param == "messages.0.content"


def test_arguments_that_are_no_json_are_the_callers_fault() -> None:
    bad = [{"function": {"name": "now", "arguments": "{oops"}}]
    with pytest.raises(InvalidRequest) as caught:
        template(HERMES).render([*TALK, {"role": "assistant", "tool_calls": bad}])
    assert caught.value.param == "messages.4.tool_calls"


def test_the_default_model_is_told_of_tools() -> None:
    _, files = pulled("smollm2-135m-instruct")
    chat = template(Model(files["model"]).metadata("tokenizer.chat_template"))
    assert type(chat.tool_format) is HermesFormat
    prompt = chat.render(TALK, tools=TOOLS, enable_thinking=False)
    assert prompt.startswith("<|im_start|>system\nYou can call functions.")
    assert prompt.endswith("noon\n</tool_response><|im_end|>\n<|im_start|>assistant\n")
    assert "named SmolLM" in chat.render(CHAT[1:], enable_thinking=False)
