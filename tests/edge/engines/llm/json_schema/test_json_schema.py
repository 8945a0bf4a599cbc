"""Schemas made at random, texts drawn at random among what is allowed: all valid under the whole schema."""

import json
import random
from typing import Any

import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge.engines.base import InvalidRequest
from edge.engines.llm.json_schema import SchemaError, json_rules, rule_depth
from edge.engines.llm.json_schema.formats import INTEGER_BITS, NAMES
from tests.edge.engines.llm.writing import Writer, valid

PATTERNS = [
    "^[a-z]{1,4}$",
    "^x",
    "^\\w+@\\d\\S$",
    "^(?:ab|c\\.d)*$",
    "^[^a-y]{2,3}$",
    "^.{1,5}$",
    '^é"\\\\?$',
]
NAMES_OF_KEYS = ["a", "b", "x1", 'q"', "é"]
STRING_FORMATS = sorted(NAMES - INTEGER_BITS.keys() - {"float", "double"})

Schema = dict[str, Any] | bool


def scalars() -> st.SearchStrategy[Any]:
    numbers = (
        st.integers(-50, 50) | st.floats(-9, 9, width=16) | st.sampled_from([10**15, -(2**53), 0.1, 1e-7])
    )
    return (
        st.none()
        | st.booleans()
        | numbers
        | st.text(st.characters(exclude_categories=["Cs", "Cn", "Co"]), max_size=4)
    )


def values() -> st.SearchStrategy[Any]:
    return st.recursive(
        scalars(),
        lambda inner: (
            st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(NAMES_OF_KEYS), inner, max_size=2)
        ),
        max_leaves=4,
    )


@st.composite
def numbers(draw: st.DrawFn) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": draw(st.sampled_from(["integer", "number"]))}
    bound = st.integers(-120, 120) | st.sampled_from([0.5, -2.25, 0.001, 99.99, 12345678.9, 2**60, -(10**17)])
    for keyword in draw(
        st.sets(st.sampled_from(["minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum"]))
    ):
        schema[keyword] = draw(bound)
    if draw(st.integers(0, 3)) == 0:
        schema["multipleOf"] = draw(st.sampled_from([1, 2, 3, 7, 10, 0.5, 0.25]))
    return schema


@st.composite
def strings(draw: st.DrawFn) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "string"}
    kind = draw(st.sampled_from(["length", "pattern", "format", "enum", "not"]))
    if kind == "pattern":
        schema["pattern"] = draw(st.sampled_from(PATTERNS))
    elif kind == "format":
        schema["format"] = draw(st.sampled_from(STRING_FORMATS))
    elif kind == "enum":
        schema["enum"] = draw(
            st.lists(st.text(st.characters(exclude_categories=["Cs", "Cn", "Co"])), min_size=1, max_size=3)
        )
    elif kind == "not":
        schema["not"] = draw(
            st.sampled_from([{"const": ""}, {"pattern": "a"}, {"minLength": 4}, {"enum": ["a", "b"]}])
        )
    if kind in ("length", "pattern") and draw(st.booleans()):
        schema["minLength"] = draw(st.integers(0, 4))
    if kind in ("length", "not") and draw(st.booleans()):
        schema["maxLength"] = draw(st.integers(1, 8))
    return schema


@st.composite
def arrays(draw: st.DrawFn, inner: st.SearchStrategy[Schema]) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "array"}
    if draw(st.booleans()):
        schema["items"] = draw(inner)
    if draw(st.integers(0, 2)) == 0:
        schema["prefixItems"] = draw(st.lists(inner, min_size=1, max_size=3))
    if draw(st.booleans()):
        schema["minItems"] = draw(st.integers(0, 3))
    if draw(st.booleans()):
        schema["maxItems"] = draw(st.integers(0, 4))
    if draw(st.integers(0, 4)) == 0:
        schema |= {"items": {"enum": draw(st.lists(scalars(), min_size=1, max_size=4))}, "uniqueItems": True}
    return schema


@st.composite
def objects(draw: st.DrawFn, inner: st.SearchStrategy[Schema]) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "object"}
    names = st.sampled_from(NAMES_OF_KEYS)
    schema["properties"] = draw(st.dictionaries(names, inner, max_size=3))
    if draw(st.booleans()):
        schema["required"] = draw(st.lists(names, max_size=2, unique=True))
    if draw(st.booleans()):
        schema["additionalProperties"] = draw(inner | st.just(False))
    if draw(st.integers(0, 3)) == 0:
        schema["patternProperties"] = draw(
            st.dictionaries(st.sampled_from(["^x", "[0-9]", "é$"]), inner, max_size=2)
        )
    if draw(st.integers(0, 3)) == 0:
        schema["propertyNames"] = {"pattern": draw(st.sampled_from(["^[a-zé0-9]+$", "^.?.$"]))}
    if draw(st.integers(0, 3)) == 0:
        schema["minProperties"] = draw(st.integers(0, 2))
    if draw(st.integers(0, 3)) == 0:
        schema["maxProperties"] = draw(st.integers(1, 4))
    if draw(st.integers(0, 4)) == 0:
        schema["dependentRequired"] = {draw(names): [draw(names)]}
    return schema


@st.composite
def combined(draw: st.DrawFn, inner: st.SearchStrategy[Schema]) -> dict[str, Any]:
    some = draw(st.lists(inner, min_size=1, max_size=3))
    kind = draw(st.sampled_from(["anyOf", "allOf", "oneOf", "$ref", "if", "siblings"]))
    if kind == "$ref":
        return {"$ref": "#/$defs/shared"}
    if kind == "if":
        condition = {"properties": {"a": {"const": draw(scalars())}}, "required": ["a"]}
        return {"if": condition, "then": some[0], "else": some[-1]}
    if kind == "siblings":
        return {"anyOf": some, "allOf": [draw(inner)]}
    return {kind: some}


SCHEMAS = st.recursive(
    st.builds(dict)
    | numbers()
    | strings()
    | st.builds(lambda v: {"const": v}, values())
    | st.builds(lambda v: {"enum": v}, st.lists(values(), min_size=1, max_size=3))
    | st.sampled_from([True, {"type": "boolean"}, {"type": ["null", "integer", "string"], "minimum": 3}]),
    lambda inner: arrays(inner) | objects(inner) | combined(inner),
    max_leaves=6,
)


@settings(max_examples=250, deadline=None, suppress_health_check=list(HealthCheck))
@given(schema=SCHEMAS, shared=SCHEMAS, dice=st.randoms(use_true_random=False))
def test_whatever_is_written_is_valid(
    schema: Schema, shared: Schema, dice: random.Random, writer: Writer
) -> None:
    whole: dict[str, Any] = {"allOf": [schema], "$defs": {"shared": shared}}
    jsonschema.Draft202012Validator.check_schema(whole)
    try:
        constraint = writer.constraints.json(whole, param="response_format")
    except InvalidRequest:
        return
    valid(whole, writer.write(constraint, dice))


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(value=values(), dice=st.randoms(use_true_random=False))
def test_a_constant_is_written_as_it_is(value: Any, dice: random.Random, writer: Writer) -> None:
    constraint = writer.constraints.json({"const": value}, param="response_format")
    assert valid({"const": value}, writer.write(constraint, dice)) == value


TREE = {
    "$defs": {
        "tree": {
            "type": "object",
            "properties": {
                "name": {"type": "string"},
                "children": {"type": "array", "items": {"$ref": "#/$defs/tree"}},
            },
            "required": ["name", "children"],
            "additionalProperties": False,
        },
    },
    "$ref": "#/$defs/tree",
}

INVOICE = {
    "title": "Invoice",
    "type": "object",
    "properties": {
        "id": {"type": "string", "format": "uuid"},
        "due": {"type": "string", "format": "date"},
        "currency": {"enum": ["EUR", "USD"]},
        "lines": {
            "type": "array",
            "minItems": 1,
            "maxItems": 3,
            "items": {
                "type": "object",
                "properties": {
                    "sku": {"type": "string", "pattern": "^[A-Z]{3}-[0-9]{4}$"},
                    "quantity": {"type": "integer", "minimum": 1, "maximum": 99},
                    "price": {"type": "number", "exclusiveMinimum": 0, "maximum": 10000},
                },
                "required": ["sku", "quantity", "price"],
                "additionalProperties": False,
            },
        },
        "note": {"anyOf": [{"type": "string", "maxLength": 40}, {"type": "null"}]},
    },
    "required": ["id", "due", "currency", "lines", "note"],
    "additionalProperties": False,
}

EVENT = {
    "oneOf": [{"$ref": "#/$defs/Made"}, {"$ref": "#/$defs/Gone"}],
    "discriminator": {"propertyName": "kind"},
    "$defs": {
        "Made": {
            "type": "object",
            "required": ["kind", "at"],
            "properties": {"kind": {"const": "made"}, "at": {"type": "string", "format": "date-time"}},
        },
        "Gone": {
            "type": "object",
            "required": ["kind"],
            "properties": {"kind": {"const": "gone"}, "why": {"type": "string"}},
        },
    },
}


@pytest.mark.parametrize(
    "schema", [TREE, INVOICE, EVENT, {"type": "object"}], ids=["tree", "invoice", "event", "object"]
)
def test_real_schemas(schema: dict[str, Any], writer: Writer) -> None:
    for seed in range(15):
        constraint = writer.constraints.json(schema, param="response_format")
        value = valid(schema, writer.write(constraint, random.Random(seed)))
        assert isinstance(value, dict)


def test_pydantics_schemas(writer: Writer) -> None:
    from typing import Literal

    from pydantic import BaseModel, Field

    class Point(BaseModel):
        x: float = Field(ge=-1, le=1)
        label: Literal["a", "b"] | None = None

    class Shape(BaseModel):
        points: list[Point] = Field(min_length=1, max_length=4)
        by_name: dict[str, int]
        pair: tuple[int, str]

    schema = Shape.model_json_schema()
    for seed in range(10):
        constraint = writer.constraints.json(schema, param="response_format")
        Shape.model_validate_json(writer.write(constraint, random.Random(seed)))


def test_keys_come_in_the_schemas_order(writer: Writer) -> None:
    schema = {"properties": {"b": {"const": 1}, "a": {"const": 2}}, "required": ["b", "a"], "type": "object"}
    assert writer.accepts(schema, '{"b":1,"a":2}')
    assert not writer.accepts(schema, '{"a":2,"b":1}')


@pytest.mark.parametrize(
    "text", ["{ }", '{\n"a":1}', '{"a" :1}', '{"a":  1}', '{"a":1 }', ' {"a":1}', '{"a":1}\n']
)
def test_white_space_is_one_space_at_most(text: str, writer: Writer) -> None:
    assert writer.accepts({"type": "object"}, '{"a": 1, "b":2,"c":[1, 2]}')
    assert not writer.accepts({"type": "object"}, text)


def test_a_key_that_must_hold_a_digit_comes_to_its_end(writer: Writer) -> None:
    schema = {
        "type": "object",
        "patternProperties": {"[0-9]": {}},
        "additionalProperties": False,
        "minProperties": 1,
    }
    for seed in range(10):
        constraint = writer.constraints.json(schema, param="response_format")
        assert valid(schema, writer.write(constraint, random.Random(seed)))


def test_many_optional_keys(writer: Writer) -> None:
    schema = {"type": "object", "properties": {f"k{i}": {"type": "integer"} for i in range(300)}}
    assert writer.accepts(schema, '{"k0":1,"k7":2,"k150":3,"k299":4,"z":5}')
    assert not writer.accepts(schema, '{"k7":2,"k0":1}')


def test_several_schemas_share_a_grammar(writer: Writer) -> None:
    rules = json_rules({"type": "integer"}, "first") + json_rules({"enum": ["a"]}, "second_1")
    constraint = writer.constraints.lark(f'start: "<" first "|" second_1 ">"\n{rules}', param="tools")
    assert writer.follows(constraint, '<12|"a">')


@pytest.mark.parametrize("root", ["Root", "", "1a", "a b", "a\n", 'a: "x"'])
def test_a_root_is_the_name_of_a_rule(root: str) -> None:
    with pytest.raises(ValueError, match="name of a rule"):
        json_rules({}, root)


@pytest.mark.parametrize("schema", [None, 5, "string", [], [{}]])
def test_a_schema_is_an_object_or_a_boolean(schema: Any) -> None:
    with pytest.raises(SchemaError, match="an object, true or false"):
        json_rules(schema)


def test_the_depth_of_a_grammar() -> None:
    assert rule_depth('start: a "b c" /d e/ | "f"\na: b\nb: "x"\nc: a\n') == 3
    assert rule_depth("start: start") == 1
    assert rule_depth(f"start: root\n{json_rules(json.loads(json.dumps(TREE)))}") < 20
