import random
import sys
import time
from functools import partial
from typing import Any

import numpy as np
import pytest

from edge.engines.base import InvalidRequest
from edge.engines.llm import constraint as module
from edge.engines.llm.constraint import Constraint, Constraints
from tests.edge.engines.llm.writing import Writer, valid

PERSON = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer", "minimum": 0, "maximum": 150}},
    "required": ["name", "age"],
    "additionalProperties": False,
}


def person(writer: Writer) -> Constraint:
    return writer.constraints.json(PERSON, param="response_format")


def test_the_mask_allows_just_what_allows_does(writer: Writer) -> None:
    constraint = person(writer)
    for token in [*writer.tokens('{"name": "Zoë \\" B", "age": 42}'), writer.ends[0]]:
        mask = constraint.mask()
        assert mask.shape == (writer.model.vocab_size,)
        assert mask.dtype == np.bool_
        for other in [token, *np.flatnonzero(mask)[:50].tolist(), *range(0, writer.model.vocab_size, 501)]:
            assert constraint.allows(other) == mask[other], writer.pieces[other]
        logits = np.linspace(-3, 3, writer.model.vocab_size, dtype=np.float32)
        before = logits.copy()
        constraint.apply(logits)
        assert (logits[~mask] == -np.inf).all()
        assert (logits[mask] == before[mask]).all()
        constraint.advance(token)


def test_the_end_is_allowed_when_the_text_is_whole(writer: Writer) -> None:
    constraint = person(writer)
    assert len(writer.ends) > 1
    for token in writer.tokens('{"name":"x","age":7}'):
        assert not constraint.complete
        assert not constraint.exhausted
        assert not any(constraint.allows(end) for end in writer.ends)
        constraint.advance(token)
    assert constraint.complete
    assert constraint.exhausted
    assert np.flatnonzero(constraint.mask()).tolist() == sorted(writer.ends)
    assert all(constraint.allows(end) for end in writer.ends)
    constraint.advance(writer.ends[-1])
    assert constraint.exhausted
    assert constraint.forced() == []


def test_a_whole_text_may_go_on(writer: Writer) -> None:
    constraint = writer.constraints.json({"type": "integer"}, param="response_format")
    constraint.advance(writer.tokens("1")[0])
    assert constraint.complete
    assert not constraint.exhausted
    mask = constraint.mask()
    assert mask[writer.ends].all()
    assert mask[writer.tokens("2")[0]]


def test_control_tokens_are_never_text(writer: Writer) -> None:
    constraint = writer.constraints.json({"type": "string"}, param="response_format")
    constraint.advance(writer.tokens('"')[0])
    control = [token for token, piece in enumerate(writer.pieces) if not piece]
    assert not constraint.mask()[control].any()
    assert not any(constraint.allows(token) for token in [*control, -1, writer.model.vocab_size])


def test_a_token_that_is_not_allowed_is_refused_and_changes_nothing(writer: Writer) -> None:
    constraint = person(writer)
    with pytest.raises(ValueError, match="not allowed"):
        constraint.advance(writer.tokens("x")[0])
    assert writer.follows(constraint, '{"name":"","age":0}')


def test_forced_tokens_are_the_models_own_and_are_allowed(writer: Writer) -> None:
    constraint = person(writer)
    text = b""
    for token in constraint.forced():
        constraint.advance(token)
        text += writer.pieces[token]
    assert text.startswith(b'{"name')
    assert b'{"name":'.startswith(text)
    longer = writer.constraints.json({"const": "a rather long sentence, all of it given"}, param="x")
    forced = longer.forced()
    assert forced == writer.tokens('"a rather long sentence, all of it given"')[: len(forced)]
    assert len(forced) > 5
    assert writer.constraints.json({}, param="x").forced() == []


def test_every_constraint_starts_afresh(writer: Writer) -> None:
    first, second = person(writer), person(writer)
    assert writer.follows(first, '{"name":"x","age":1}')
    assert not second.complete
    assert writer.follows(second, '{"name":"y","age":2}')


def test_grammars_are_compiled_once_and_the_oldest_forgotten(
    writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CACHED_GRAMMARS", 2)
    constraints = Constraints(writer.model)
    compiled: list[str] = []
    compile_one = constraints._compiled

    def counted(grammar: str, param: str) -> Any:
        compiled.append(grammar)
        return compile_one(grammar, param)

    monkeypatch.setattr(constraints, "_compiled", counted)
    for maximum in (1, 2, 1, 3, 2, 2):
        constraints.json({"type": "integer", "maximum": maximum}, param="response_format")
    assert len(compiled) == 4


def test_a_grammar_does_not_wear_out(writer: Writer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TOKENS_OF_A_GRAMMAR", 8)
    constraints = Constraints(writer.model)
    kept = []  # so that no identity is used twice
    for _ in range(3):
        first = constraints.json(PERSON, param="x")._grammar
        assert constraints.json(PERSON, param="x")._grammar is first
        assert writer.follows(constraints.json(PERSON, param="x"), '{"name":"Ann Lee","age":44}')
        assert constraints.json(PERSON, param="x")._grammar is not first
        kept.append(first)


def test_a_sequence_that_was_too_complex_does_not_spoil_the_next(writer: Writer) -> None:
    schema = {"type": "string", "pattern": "^(([a-z]{1,100}){1,100}){1,100}b$"}
    ends = [steps_until_too_complex(writer.constraints.json(schema, param="x")) for _ in range(2)]
    assert ends[0] == ends[1] > 0


def steps_until_too_complex(constraint: Constraint) -> int:
    for made in range(200):
        try:
            constraint.advance(int(np.flatnonzero(constraint.mask())[-1]))
        except InvalidRequest:
            return made
    raise AssertionError("it was not too complex")


def test_lark(writer: Writer) -> None:
    constraint = writer.constraints.lark('start: "yes" | "no" /[0-9]{2}/', param="tools")
    assert writer.follows(constraint, "no12")
    assert constraint.exhausted


@pytest.mark.parametrize(
    "grammar",
    [
        "start: missing",
        "start: (",
        "start: A\nA: /a+/ & /b+/",
        "begin: /a/",
        "start: <|no_such_token|>",
        'start: "\U00040000"',
    ],
)
def test_a_bad_grammar_is_refused(grammar: str, writer: Writer) -> None:
    with pytest.raises(InvalidRequest) as refused:
        writer.constraints.lark(grammar, param="tools")
    assert refused.value.param == "tools"


def test_a_grammar_that_would_overflow_the_stack_is_refused(writer: Writer) -> None:
    chain = "".join(f'r{i}: "a" r{i + 1} | "b"\n' for i in range(20_000))
    with pytest.raises(InvalidRequest, match="nests too deeply"):
        writer.constraints.lark(f"start: r0\n{chain}r20000: /c/\n", param="tools")


def test_a_character_that_the_vocabulary_lacks_is_refused(writer: Writer) -> None:
    with pytest.raises(InvalidRequest, match=r"U\+40000"):
        writer.constraints.json({"const": "\U00040000"}, param="response_format")


class PanicException(BaseException):
    """What the library's language raises where another would crash; named as there."""


def test_a_panic_is_a_refusal(writer: Writer, monkeypatch: pytest.MonkeyPatch) -> None:
    class Panics:
        grammar_from_lark = staticmethod(str)

        def __init__(self, *args: object, **kwargs: object) -> None:
            raise PanicException

    monkeypatch.setattr(module, "LLMatcher", Panics)
    with pytest.raises(InvalidRequest, match="gave up"):
        writer.constraints.lark('start: "p"', param="tools")


def nested(depth: int) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "integer"}
    for _ in range(depth):
        schema = {"type": "array", "items": schema}
    return schema


def chained(length: int) -> dict[str, Any]:
    links = {
        f"d{i}": {"type": "object", "properties": {"x": {"$ref": f"#/$defs/d{i + 1}"}}} for i in range(length)
    }
    return {"$ref": "#/$defs/d0", "$defs": {**links, f"d{length}": {"type": "null"}}}


def doubled(keyword: str) -> dict[str, Any]:
    links = {f"d{i}": {keyword: [{"$ref": f"#/$defs/d{i + 1}"}] * 2} for i in range(40)}
    return {"$ref": "#/$defs/d0", "$defs": {**links, "d40": {"type": "object"}}}


def either(name: str) -> dict[str, Any]:
    return {"anyOf": [{"properties": {name: {"const": value}}} for value in (1, 2)]}


HOSTILE: dict[str, Any] = {
    "nesting": nested(400),
    "a chain of references": chained(3000),
    "alternatives to the power of twenty": {"allOf": [either(f"a{i}") for i in range(20)]},
    "doubling alternatives": doubled("anyOf"),
    "conditions to the power of twenty": {
        "type": "object",
        "dependentRequired": {f"a{i}": ["b"] for i in range(20)},
    },
    "a long text": {"const": "x" * 9_000_000},
    "a long list": {"enum": [f"value {i}" for i in range(200_000)]},
    "many objects": {"enum": [{"a": i} for i in range(5000)]},
    "many keys": {"type": "object", "properties": {f"p{i}": {} for i in range(5000)}},
    "a long array": {"type": "array", "minItems": 10**12},
    "many optional items": {"prefixItems": [{}] * 1000},
    "patterns at once": {
        "type": "string",
        "allOf": [{"pattern": f".*{chr(97 + i)}.{{{i + 5}}}x"} for i in range(20)],
    },
    "patterns of keys": {"type": "object", "patternProperties": {f"{chr(97 + i)}.*y": {} for i in range(20)}},
    "nested groups": {"type": "string", "pattern": "(" * 3000 + ")" * 3000},
    "a huge number": {"const": 10**300},
    "a huge integer": {"const": 10**5000},
    "infinity": {"const": float("inf")},
    "not a number": {"minimum": float("nan")},
    "half a surrogate pair": {"const": "\ud800"},
    "half a surrogate pair as a key": {"properties": {"\udfff": {}}},
    "something else than JSON": {"const": {1, 2}},
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_schema_is_refused_soon(kind: str, writer: Writer) -> None:
    started = time.perf_counter()
    with pytest.raises(InvalidRequest) as refused:
        writer.constraints.json(HOSTILE[kind], param="response_format")
    assert time.perf_counter() - started < 20  # 1 s at most on a quiet core
    assert refused.value.param == "response_format"
    assert len(str(refused.value)) < 600


HEAVY: dict[str, Any] = {
    "nested arrays": nested(45),
    "nested repetitions": {"type": "string", "pattern": "^((a{1,1000}){1,1000}){1,1000}$"},
    "an automaton with 2^24 states": {"type": "string", "pattern": "^(a|b)*a(a|b){24}$"},
    "an automaton that runs out of fuel": {"type": "string", "pattern": "^(([a-z]{1,100}){1,100}){1,100}b$"},
    "sixty groups": {"type": "string", "pattern": "(.*a){20}(.*b){20}(.*c){20}"},
    "a long string": {"type": "string", "minLength": 100_000},
    "a long list": {"type": "array", "maxItems": 1_000_000, "items": {"type": "integer"}},
    "four hundred keys": {"type": "object", "properties": {f"p{i}": {"type": "string"} for i in range(400)}},
    "ninety counted keys": {
        "properties": {f"p{i}": {} for i in range(90)},
        "minProperties": 20,
        "type": "object",
    },
    "ten thousand values": {"enum": [f"value {i}" for i in range(10_000)]},
    "three hundred options": {"oneOf": [{"const": f"v{i}", "title": "t"} for i in range(300)]},
    "doubling references": doubled("allOf"),
}


@pytest.mark.parametrize("kind", HEAVY)
def test_a_heavy_schema_is_followed_or_ends_with_a_reason(kind: str, writer: Writer) -> None:
    constraint = writer.constraints.json(HEAVY[kind], param="response_format")
    dice = random.Random(kind)
    slowest = 0.0
    try:
        for _ in range(40):
            started = time.perf_counter()
            allowed = np.flatnonzero(constraint.mask())
            constraint.advance(int(dice.choice(allowed)))
            slowest = max(slowest, time.perf_counter() - started)
            if constraint.exhausted:
                break
    except InvalidRequest as refusal:
        assert "too complex" in str(refusal)  # noqa: PT017 - both ends are right
    assert slowest < 2  # 10 ms on a quiet core


def test_the_cost_of_a_step(writer: Writer, capsys: pytest.CaptureFixture[str]) -> None:
    spent: dict[str, list[float]] = {"allows": [], "mask": [], "apply": [], "advance": [], "forced": []}
    logits = np.zeros(writer.model.vocab_size, dtype=np.float32)
    for turn in range(5):
        constraint = person(writer)
        for token in writer.tokens('{"name": "Ann Lee of the seven hills", "age": 42}'):
            for name, call in (
                ("allows", partial(constraint.allows, token)),
                ("mask", constraint.mask),
                ("apply", partial(constraint.apply, logits)),
                ("forced", constraint.forced),
                ("advance", partial(constraint.advance, token)),
            ):
                started = time.perf_counter()
                call()
                if turn:
                    spent[name].append(time.perf_counter() - started)
    medians = {name: float(np.median(times)) * 1e6 for name, times in spent.items()}
    with capsys.disabled():
        sys.stdout.write(
            "\nmedian of a constrained step, µs: "
            + ", ".join(f"{n} {m:.0f}" for n, m in medians.items())
            + "\n"
        )
    assert medians["allows"] < 500
    assert medians["apply"] < 20_000


def test_what_json_object_asks_for(writer: Writer) -> None:
    for seed in range(20):
        constraint = writer.constraints.json({"type": "object"}, param="response_format")
        assert isinstance(valid({}, writer.write(constraint, random.Random(seed))), dict)
