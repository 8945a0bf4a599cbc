"""Every keyword is either enforced, shown by a text that would break it, or refused by name."""

from typing import Any

import pytest

from edge.engines.base import InvalidRequest
from edge.engines.llm.json_schema import SchemaError, json_rules
from tests.edge.engines.llm.writing import Writer, valid

ONE_KEY = {"type": "object", "properties": {"a": {"type": "integer"}}}
A, B = {"const": "a"}, {"const": "b"}

ENFORCED: list[tuple[str, dict[str, Any] | bool, list[str], list[str]]] = [
    ("type", {"type": "integer"}, ["1", "-20"], ["1.5", '"1"', "null", "01", "1 "]),
    ("type", {"type": ["null", "boolean"]}, ["null", "true", "false"], ["0", '"null"']),
    ("type", {"type": "number"}, ["1", "-0.5", "6.02e23", "0"], [".5", "1e999", "NaN", "Infinity", "+1"]),
    (
        "type",
        {"type": "object"},
        ["{}", '{"a":[1,{"b":null}]}', '{"a": 1, "b": 2}'],
        ["[]", "{a:1}", '{"a":1,}'],
    ),
    ("type", {"type": "array"}, ["[]", '[1, "x", [{}]]'], ["{}", "[1,]", "[ 1]"]),
    ("type", {"type": "string"}, ['""', '"é\\n\\"😀"'], ['"\\ud800"', '"\\u0061"', '"a\nb"', "'a'", '"\\x"']),
    ("const", {"const": {"a": [1, "x"]}}, ['{"a":[1,"x"]}'], ['{"a":[1]}', "{}"]),
    ("const", {"const": 1.5}, ["1.5"], ["1.6", "2"]),
    ("const", {"const": "\u0000\u007f"}, ['"\\u0000\\u007f"'], ['"\\u0000"']),
    ("enum", {"enum": ["a", 1, None, True, [2]]}, ['"a"', "1", "null", "true", "[2]"], ['"b"', "2", "false"]),
    ("enum", {"enum": ["a", 5, 12], "type": "integer", "maximum": 9}, ["5"], ["12", '"a"']),
    ("minimum", {"type": "integer", "minimum": -3}, ["-3", "0", "77"], ["-4", "-10"]),
    ("minimum", {"type": "number", "minimum": 0.5}, ["0.5", "0.50", "1e1"[:1], "20"], ["0.49", "0", "-1"]),
    ("maximum", {"type": "number", "maximum": 2.75}, ["2.75", "-9.5", "2"], ["2.751", "3", "10"]),
    ("exclusiveMinimum", {"type": "number", "exclusiveMinimum": 0}, ["0.001", "3"], ["0", "0.0", "-1"]),
    ("exclusiveMaximum", {"type": "integer", "exclusiveMaximum": 10}, ["9", "-100"], ["10", "11"]),
    (
        "exclusiveMaximum",
        {"type": "number", "exclusiveMaximum": 1},
        ["0.99"],
        ["1", "0.9999999999999999999999"],
    ),
    ("minimum", {"type": "integer", "minimum": 9007199254740993}, ["9007199254740993"], ["9007199254740992"]),
    ("multipleOf", {"type": "integer", "multipleOf": 7}, ["0", "14", "-21", "7007"], ["1", "15"]),
    ("multipleOf", {"multipleOf": 0.25, "type": "number"}, ["0.25", "-1.5", "3"], ["0.3", "1.1"]),
    ("minLength", {"type": "string", "minLength": 3}, ['"abc"', '"é😀x"'], ['"ab"', '"\\n\\n"']),
    ("maxLength", {"type": "string", "maxLength": 2}, ['""', '"😀\\n"'], ['"abc"']),
    (
        "pattern",
        {"type": "string", "pattern": "^[a-c]+\\d$"},
        ['"abc1"'],
        ['"abc"', '"1"', '"d1"', '"a1\\n"'],
    ),
    ("pattern", {"type": "string", "pattern": "b.d"}, ['"xxbcdxx"'], ['"bd"', '"b\\nd"']),
    ("pattern", {"pattern": "^a$"}, ['"a"', "12", "{}"], ['"b"']),
    ("format", {"type": "string", "format": "date"}, ['"2024-02-29"'], ['"2023-02-29"', '"2023-13-01"']),
    ("format", {"type": "string", "format": "ipv4"}, ['"10.0.255.1"'], ['"10.0.256.1"', '"1.2.3"']),
    ("format", {"type": "integer", "format": "int32"}, ["2147483647"], ["2147483648"]),
    ("properties", {**ONE_KEY, "additionalProperties": False}, ['{"a":1}', "{}"], ['{"a":"x"}', '{"b":1}']),
    ("properties", ONE_KEY, ['{"a":1,"b":"x"}'], ['{"b":1,"a":"x"}', '{"a":1,"a":"x"}', '{"\\u0061":"x"}']),
    ("required", {**ONE_KEY, "required": ["a", "z"]}, ['{"a":1,"z":null}'], ["{}", '{"a":1}', '{"z":1}']),
    (
        "additionalProperties",
        {"type": "object", "additionalProperties": {"type": "null"}},
        ['{"x":null}'],
        ['{"x":1}'],
    ),
    (
        "patternProperties",
        {"type": "object", "patternProperties": {"^n": {"type": "integer"}}},
        ['{"n1":1}', '{"m":"x"}'],
        ['{"n1":"x"}', '{"n":null}'],
    ),
    (
        "patternProperties",
        {"type": "object", "patternProperties": {"a": {"type": "integer"}, "b": {"minimum": 5}}},
        ['{"ab":7}', '{"a":1}', '{"b":"x"}'],
        ['{"ab":1}', '{"ab":"x"}'],
    ),
    (
        "patternProperties",
        {
            "type": "object",
            "properties": {"na": {"maximum": 3}},
            "patternProperties": {"^n": {"type": "integer"}},
        },
        ['{"na":2}'],
        ['{"na":"x"}', '{"na":4}'],
    ),
    (
        "propertyNames",
        {"type": "object", "propertyNames": {"pattern": "^[a-z]+$"}},
        ['{"a":1}'],
        ['{"A":1}', '{"":1}'],
    ),
    (
        "propertyNames",
        {**ONE_KEY, "propertyNames": {"enum": ["b"]}},
        ['{"b":1}', "{}"],
        ['{"a":1}', '{"c":1}'],
    ),
    ("minProperties", {**ONE_KEY, "minProperties": 1}, ['{"a":1}', '{"b":1}'], ["{}"]),
    ("maxProperties", {**ONE_KEY, "maxProperties": 2}, ['{"a":1,"b":1}'], ['{"a":1,"b":1,"c":1}']),
    (
        "dependentRequired",
        {**ONE_KEY, "dependentRequired": {"a": ["b"]}},
        ["{}", '{"a":1,"b":2}', '{"b":1}'],
        ['{"a":1}'],
    ),
    (
        "dependentSchemas",
        {**ONE_KEY, "dependentSchemas": {"a": {"required": ["b"]}}},
        ['{"a":1,"b":1}'],
        ['{"a":1}'],
    ),
    ("dependencies", {**ONE_KEY, "dependencies": {"a": ["b"]}}, ['{"a":1,"b":2}'], ['{"a":1}']),
    ("unevaluatedProperties", {**ONE_KEY, "unevaluatedProperties": False}, ['{"a":1}'], ['{"b":1}']),
    ("items", {"type": "array", "items": {"type": "integer"}}, ["[]", "[1, 2]"], ['["x"]', "[1,null]"]),
    ("items", {"type": "array", "items": False}, ["[]"], ["[1]"]),
    (
        "items",
        {
            "$schema": "http://json-schema.org/draft-07/schema#",
            "type": "array",
            "items": [{"type": "integer"}],
            "additionalItems": {"type": "null"},
        },
        ["[]", "[1,null]"],
        ['["x"]', "[1,2]"],
    ),
    (
        "prefixItems",
        {"type": "array", "prefixItems": [{"type": "integer"}, {"type": "null"}], "items": False},
        ["[]", "[1]", "[1,null]"],
        ["[null]", "[1,2]", "[1,null,3]"],
    ),
    (
        "minItems",
        {"type": "array", "items": {"type": "integer"}, "minItems": 2},
        ["[1,2]", "[1,2,3]"],
        ["[]", "[1]"],
    ),
    (
        "maxItems",
        {"type": "array", "items": {"type": "integer"}, "maxItems": 2},
        ["[]", "[1,2]"],
        ["[1,2,3]"],
    ),
    (
        "uniqueItems",
        {"type": "array", "items": {"enum": ["a", 1, None]}, "uniqueItems": True},
        ["[]", '[1,"a"]', '["a",1,null]'],
        ["[1,1]", '["a",1,"a"]'],
    ),
    ("allOf", {"type": "integer", "allOf": [{"minimum": 3}, {"maximum": 5}]}, ["4"], ["2", "6"]),
    (
        "allOf",
        {"allOf": [ONE_KEY, {"required": ["a"]}, {"properties": {"a": {"minimum": 5}}}]},
        ['{"a":7}'],
        ["{}", '{"a":4}'],
    ),
    (
        "anyOf",
        {"anyOf": [{"type": "integer"}, {"type": "string", "maxLength": 1}]},
        ["12", '"x"'],
        ['"xy"', "null"],
    ),
    ("anyOf", {"type": "string", "anyOf": [A, B]}, ['"a"', '"b"'], ['"c"', "1"]),
    ("oneOf", {"oneOf": [{"type": "integer"}, {"type": "string"}]}, ["1", '"x"'], ["null"]),
    (
        "oneOf",
        {"oneOf": [{"type": "integer", "maximum": 4}, {"type": "integer", "minimum": 5}]},
        ["4", "5"],
        ["4.5"],
    ),
    (
        "oneOf",
        {
            "type": "object",
            "required": ["k"],
            "oneOf": [
                {"properties": {"k": A, "v": {"type": "integer"}}},
                {"properties": {"k": B, "v": {"type": "null"}}},
            ],
        },
        ['{"k":"a","v":1}', '{"k":"b","v":null}'],
        ['{"k":"a","v":null}', '{"k":"c"}'],
    ),
    ("not", {"type": "string", "not": {"enum": ["a", "b"]}}, ['"c"', '""'], ['"a"', '"b"']),
    ("not", {"type": "string", "not": {"pattern": "^a"}}, ['"ba"'], ['"ab"']),
    ("not", {"not": {"type": ["string", "object"]}}, ["1", "[]", "null"], ['"a"', "{}"]),
    ("not", {"type": "integer", "not": {"minimum": 3, "maximum": 5}}, ["2", "6"], ["3", "4", "5"]),
    (
        "if",
        {
            "type": "object",
            "if": {"properties": {"k": A}, "required": ["k"]},
            "then": {"required": ["x"]},
            "else": {"required": ["y"]},
            "properties": {"k": {"type": "string"}},
        },
        ['{"k":"a","x":1}', '{"k":"b","y":1}', '{"y":1}'],
        ['{"k":"a"}', '{"k":"b","x":1}', "{}"],
    ),
    ("$ref", {"$ref": "#/$defs/i", "$defs": {"i": {"type": "integer"}}}, ["1"], ['"x"']),
    (
        "$ref",
        {"$ref": "#/definitions/a~1b%25", "maximum": 5, "definitions": {"a/b%": {"type": "integer"}}},
        ["5"],
        ["6"],
    ),
    (
        "$ref",
        {"type": "object", "properties": {"c": {"$ref": "#"}}, "additionalProperties": False},
        ["{}", '{"c":{"c":{}}}'],
        ['{"c":1}', '{"c":{"d":1}}'],
    ),
    ("$anchor", {"$ref": "#i", "$defs": {"x": {"$anchor": "i", "type": "integer"}}}, ["1"], ['"x"']),
    (
        "$id",
        {"$id": "https://e.org/s", "$ref": "https://e.org/s#/$defs/i", "$defs": {"i": {"type": "null"}}},
        ["null"],
        ["1"],
    ),
    ("false", {"anyOf": [False, {"type": "null"}]}, ["null"], ["1"]),
    ("true", True, ["null", '{"a":[]}'], ["", "nul", "[1"]),
    (
        "title",
        {
            "title": "T",
            "description": "d",
            "default": 1,
            "examples": [2],
            "deprecated": True,
            "x-order": 1,
            "readOnly": True,
            "$comment": "c",
            "type": "null",
        },
        ["null"],
        ["1"],
    ),
]


@pytest.mark.parametrize(
    ("keyword", "schema", "good", "bad"), ENFORCED, ids=lambda value: value if isinstance(value, str) else ""
)
def test_enforced(
    keyword: str, schema: dict[str, Any] | bool, good: list[str], bad: list[str], writer: Writer
) -> None:
    for text in good:
        assert writer.accepts(schema, text), text
        if "items" not in str(schema) or "$schema" not in str(schema):
            valid(schema, text.encode())
    for text in bad:
        assert not writer.accepts(schema, text), text


NESTED = {"type": "object", "properties": {"a": {}}}

REFUSED: list[tuple[str, str, dict[str, Any]]] = [
    ("contains", "", {"type": "array", "contains": {"type": "integer"}}),
    ("minContains", "contains", {"contains": {"type": "integer"}, "minContains": 2}),
    ("maxContains", "", {"contains": {}, "minContains": 0, "maxContains": 2}),
    ("uniqueItems", "", {"type": "array", "uniqueItems": True, "items": {"type": "string"}}),
    ("unevaluatedItems", "", {"type": "array", "unevaluatedItems": False}),
    ("unevaluatedProperties", "", {"allOf": [NESTED], "unevaluatedProperties": False}),
    ("oneOf", "", {"oneOf": [{"type": "integer"}, {"type": "number"}]}),
    ("oneOf", "", {"oneOf": [{"pattern": "a"}, {"pattern": "b"}], "type": "string"}),
    ("not", "contains", {"not": {"contains": {}}}),
    ("if", "uniqueItems", {"if": {"uniqueItems": True}, "then": {"type": "array"}}),
    ("multipleOf", "", {"type": "number", "multipleOf": 0.01}),
    ("multipleOf", "", {"type": "integer", "multipleOf": 1000003}),
    ("minProperties", "", {"type": "object", "minProperties": 2}),
    ("format", "", {"type": "string", "format": "regex"}),
    ("format", "", {"type": "string", "format": "postcode"}),
    ("pattern", "", {"type": "string", "pattern": "^(?=.*[A-Z])a"}),
    ("pattern", "", {"type": "string", "pattern": "(a)\\1"}),
    ("pattern", "", {"type": "string", "pattern": "\\bword\\b"}),
    ("pattern", "", {"type": "string", "pattern": "[a"}),
    ("patternProperties", "", {"type": "object", "patternProperties": {"(?!x)": {}}}),
    ("$ref", "", {"$ref": "https://example.org/other.json"}),
    ("$ref", "", {"$ref": "other.json#/a"}),
    ("$ref", "", {"$ref": "#/$defs/missing"}),
    ("$ref", "", {"$ref": "#missing"}),
    ("$dynamicRef", "", {"$dynamicRef": "#a"}),
    ("$recursiveRef", "", {"$recursiveRef": "#"}),
    ("$id", "", {"properties": {"a": {"$id": "https://e.org/a", "type": "null"}}}),
    ("$schema", "", {"$schema": "http://json-schema.org/draft-03/schema#"}),
    ("minLenght", "", {"type": "string", "minLenght": 3}),
    ("divisibleBy", "", {"type": "integer", "divisibleBy": 3}),
    ("exclusiveMinimum", "", {"type": "integer", "minimum": 3, "exclusiveMinimum": True}),
    ("type", "", {"type": "text"}),
    ("type", "", {"type": []}),
    ("minimum", "", {"type": "integer", "minimum": "3"}),
    ("minLength", "", {"type": "string", "minLength": -1}),
    ("maxItems", "", {"maxItems": 1.5}),
    ("multipleOf", "", {"multipleOf": 0}),
    ("required", "", {"required": "a"}),
    ("required", "", {"properties": {"a": {"required": True}}}),
    ("properties", "", {"properties": []}),
    ("enum", "", {"enum": []}),
    ("anyOf", "", {"anyOf": []}),
    ("items", "", {"items": 5}),
    ("minItems", "", {"type": "array", "minItems": 10**9}),
]


@pytest.mark.parametrize(("keyword", "named", "schema"), REFUSED)
def test_refused_by_name(keyword: str, named: str, schema: dict[str, Any]) -> None:
    with pytest.raises(SchemaError) as refused:
        json_rules(schema)
    assert refused.value.keyword == (named or keyword)
    assert f"'{named or keyword}'" in str(refused.value)
    assert f"#{refused.value.pointer}" in str(refused.value)
    value: Any = schema
    for step in refused.value.pointer.split("/")[1:]:  # the place that is told is where the keyword is
        value = value[int(step) if isinstance(value, list) else step]


def test_a_refusal_names_the_place_and_the_field(writer: Writer) -> None:
    schema = {"type": "object", "properties": {"a/b": {"items": {"contains": {}, "type": "array"}}}}
    with pytest.raises(InvalidRequest) as refused:
        writer.constraints.json(schema, param="response_format")
    assert refused.value.param == "response_format"
    assert "#/properties/a~1b/items/contains" in str(refused.value)
    assert "drop it" in str(refused.value)


@pytest.mark.parametrize(
    "schema",
    [
        False,
        {"not": {}},
        {"allOf": [{"type": "string"}, {"type": "integer"}]},
        {"type": "integer", "minimum": 3, "maximum": 2},
        {"type": "integer", "exclusiveMinimum": 3, "exclusiveMaximum": 4},
        {"type": "integer", "multipleOf": 7, "minimum": 1, "maximum": 6},
        {"type": "string", "minLength": 3, "maxLength": 2},
        {"type": "string", "pattern": "^a$", "minLength": 2},
        {"type": "string", "pattern": "^a$", "enum": ["b"]},
        {"const": 1, "enum": [2]},
        {"type": "object", "required": ["a"], "properties": {"a": False}},
        {"type": "object", "required": ["a"], "additionalProperties": False},
        {"type": "object", "required": ["a", "b"], "maxProperties": 1},
        {"type": "object", "required": ["a"], "propertyNames": {"const": "b"}},
        {"type": "object", "properties": {"a": {}}, "additionalProperties": False, "minProperties": 2},
        {"type": "array", "items": False, "minItems": 1},
        {"type": "array", "minItems": 3, "maxItems": 2},
        {"type": "array", "uniqueItems": True, "items": {"enum": [1, 2]}, "minItems": 3},
        {"type": "object", "required": ["next"], "properties": {"next": {"$ref": "#"}}},
        {"type": "array", "minItems": 1, "items": {"$ref": "#"}},
    ],
)
def test_a_contradiction_is_refused(schema: dict[str, Any] | bool) -> None:
    with pytest.raises(SchemaError, match="contradicts itself"):
        json_rules(schema)


@pytest.mark.parametrize("schema", [{"$ref": "#"}, {"anyOf": [{"$ref": "#"}, {"type": "null"}]}])
def test_a_schema_defined_by_itself_is_refused(schema: dict[str, Any]) -> None:
    with pytest.raises(SchemaError, match="refers back to itself"):
        json_rules(schema)


def test_what_nothing_fits_is_left_out_where_something_else_does(writer: Writer) -> None:
    schema = {"type": "object", "properties": {"a": {"type": "integer", "minimum": 3, "maximum": 2}, "b": {}}}
    assert writer.accepts(schema, '{"b":1}')
    assert not writer.accepts(schema, '{"a":')


def test_an_option_of_the_library_is_only_an_annotation(writer: Writer) -> None:
    schema = {"type": "integer", "minimum": 5, "x-guidance": {"lenient": True, "whitespace_flexible": True}}
    assert not writer.accepts(schema, "3")
