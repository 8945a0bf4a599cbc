import time

import pytest
from jinja2 import TemplateError

from edge.engines.llm import sandbox
from edge.engines.llm.sandbox import ChatEnvironment, TooMuch

MESSAGES = [{"role": "user", "content": "hi"}]


def render(source: str) -> str:
    return ChatEnvironment().compile_bounded(source)(messages=MESSAGES)


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("{{ 'a' ~ 1 ~ [1, 2] }}", "a1[1, 2]"),
        (
            "{% set a = namespace(n=0) %}{% for m in [1, 2] %}{% set a.n = a.n + m %}{% endfor %}{{ a.n }}",
            "3",
        ),
        (
            "{% for i in range(5) if i is odd %}{{ loop.index }}/{{ loop.length }}:{{ i }} {% endfor %}",
            "1/2:1 2/2:3 ",
        ),
        ("{% for m in messages %}{{ loop.first }}{{ loop.last }}{{ loop.previtem }}{% endfor %}", "TrueTrue"),
        ("{% for k, v in {'a': 1}.items() %}{{ k }}{{ v }}{% else %}none{% endfor %}", "a1"),
        ("{% macro twice(x, n=2) %}{{ x * n }}{% endmacro %}{{ twice('ab') }}", "abab"),
        ("{% set text %}{{ 'b' | upper }}{% endset %}{{ text }}{{ text is string }}", "BTrue"),
        ("{{ messages[::-1][0].content }}{{ messages[1:] | length }}{{ (1, 2)[1] }}", "hi02"),
        ("{{ messages | map(attribute='role') | join(', ') }}{{ ', '.join(['a', 'b']) }}", "usera, b"),
        ("{{ [{'n': 1}, {'n': 2}] | join('+', attribute='n') }}", "1+2"),
        (
            "{{ 'a-b'.replace('-', '+') | replace('b', 'c') }}{{ ' x ' | trim }}{{ 'a>b'.split('>')[-1] }}",
            "a+cxb",
        ),
        (
            "{{ '%s-%03d' | format('a', 3) }}{{ '{:>3}'.format(1) }}{{ '%s' % 'q' }}",
            "a-003  1q",
        ),
        ("{{ 'a\nb\n\nc' | indent(2) }}", "a\n  b\n\n  c"),
        ("{{ 7 // 2 + 2 ** 3 - 7 % 4 + 2 * 3 }}{{ [1] + [2] }}{{ 'ab' * 2 }}", "14[1, 2]abab"),
        ("{% generation %}x{% endgeneration %}", "x"),
        ("{% filter upper %}a{% endfilter %}{{ nothing }}{{ nothing | default('b') }}", "Ab"),
        ("{% for m in messages %}{% if loop.last %}{% break %}{% endif %}x{% endfor %}", ""),
        ("{{ strftime_now('%Y') | length }}", "4"),
    ],
)
def test_what_chat_templates_do_works(source: str, text: str) -> None:
    assert render(source) == text


def test_json_is_written_as_transformers_writes_it() -> None:
    assert render("{{ {'t': '<&é>', 'l': [1, none]} | tojson }}") == '{"t": "<&é>", "l": [1, null]}'
    assert (
        render("{{ {'b': 1, 'a': []} | tojson(indent=2, sort_keys=true) }}") == '{\n  "a": [],\n  "b": 1\n}'
    )
    assert render("{{ [1, 2] | tojson(separators=(',', ':')) }}{{ 'é' | tojson(ensure_ascii=true) }}") == (
        '[1,2]"\\u00e9"'
    )


def _growing(step: str, start: str = "'aa'") -> str:
    before = f"{{% set ns = namespace(x={start}) %}}{{% for i in range(90) %}}"
    return before + step + "{% endfor %}{{ ns.x | string }}"


@pytest.mark.parametrize(
    "source",
    [
        "{{ 'a' * 10 ** 10 }}",
        "{{ [1] * 10 ** 10 }}",
        "{{ 10 ** (10 ** 10) }}",
        "{{ ['a' * 8000000] * 1000 }}",
        "{{ '{:>10000000000}'.format(1) }}",
        "{{ '{:>{}}'.format(1, 10000000000) }}",
        "{{ '%*d' % (10000000000, 1) }}",
        "{{ '%10000000000d' | format(1) }}",
        "{{ ('%9999d' * 5000) | format(1) }}",
        "{{ [1] | tojson(indent=100000000) }}",
        "{{ ''.join(['a' * 1000000] * 100) }}",
        "{{ ('a\n' * 1000000) | indent(9999) }}",
        "{% for i in range(99999) %}{{ 'a' * 1000 }}{% endfor %}",
        "{% set ns = namespace() %}{% set ns.a = [ns] %}{{ ns }}",
        _growing("{% set ns.x = ns.x ~ ns.x %}"),
        _growing("{% set ns.x = ns.x + ns.x %}"),
        _growing("{% set ns.x = ns.x.replace('a', ns.x) %}"),
        _growing("{% set ns.x = ns.x | replace('a', ns.x) %}"),
        _growing("{% set ns.x = '%s%s' | format(ns.x, ns.x) %}"),
        _growing("{% set ns.x = ns.x.join([ns.x, ns.x]) %}"),
        _growing("{% set y %}{{ ns.x }}{{ ns.x }}{% endset %}{% set ns.x = y %}"),
        _growing("{% set ns.x = ns.x * ns.x %}", "3"),
        _growing("{% set ns.x = ns.x + ns.x %}", "[1]"),
        _growing("{% set ns.x = [ns.x, ns.x] %}", "[1]"),
        _growing("{% set ns.x = {'a': ns.x, 'b': ns.x} %}", "[1]"),
        _growing("{% set ns.x = (ns.x, ns.x) %}", "[1]"),
    ],
)
def test_nothing_grows_without_bounds(source: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox, "MAX_SECONDS", 20)
    with pytest.raises(TooMuch, match=r"too (long a text|large a number|far)"):
        render(source)


@pytest.mark.parametrize(
    "source",
    [
        "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}",
        "{% for i in range(99999) %}{% for j in range(99999) if false %}x{% endfor %}{% endfor %}",
        "{% macro f(n) %}{% if n %}{{ f(n - 1) }}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(60) }}",
        "{% set a = 'x' * 8000000 %}{% set b = a ~ '' %}" + "{{ a == b }}" * 2_000,
        "{% set a = 'x' * 8000000 %}" + "{% set b = a[1:] %}" * 2_000,
        "{% set r = range(99999) | list %}" + "{% set b = r | map('string') | list %}" * 300,
    ],
)
def test_nothing_runs_on(source: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox, "MAX_SECONDS", 0.1)
    template = ChatEnvironment().compile_bounded(source)
    started = time.thread_time()
    with pytest.raises(TooMuch, match="too long"):
        template(messages=MESSAGES)
    assert time.thread_time() - started < 2


@pytest.mark.parametrize(
    "source",
    [
        "{{ ''.__class__.__mro__ }}{{ ''.__class__.__base__() }}",
        "{{ 'a'.ljust(10000000000) }}",
        "{{ 'a' | attr('ljust')(10000000000) }}",
        "{{ 'a'.expandtabs(10000000000) }}",
        "{{ 'a'.encode() }}",
        "{{ 'a'.translate({97: 'aaaa'}) }}",
        "{{ (5).to_bytes(10000000000, 'big') }}",
        "{{ messages.append(1) }}",
        "{{ messages[0].update({'role': 'x'}) }}",
        "{{ '{0.__class__.__mro__}'.format(1) }}",
        "{{ lipsum(100000) }}",
        "{% include 'other' %}",
    ],
)
def test_what_could_do_harm_is_not_there(source: str) -> None:
    with pytest.raises((TemplateError, TypeError)):
        render(source)


@pytest.mark.parametrize("source", ["{{ 'a' | center(99) }}", "{% for", "x" * (sandbox.MAX_SOURCE + 1)])
def test_what_is_no_template_is_refused_when_it_is_compiled(source: str) -> None:
    with pytest.raises(TemplateError):
        ChatEnvironment().compile_bounded(source)
