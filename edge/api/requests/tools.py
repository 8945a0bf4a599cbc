"""The functions that a model may call, and which of them it must."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from edge.api.requests.fields import ApiModel, in_one_sentence
from edge.api.requests.json_values import JsonObject

MAX_TOOLS = 128

FunctionName = Annotated[str, Field(pattern=r"^[a-zA-Z0-9_-]{1,64}$")]


def _of_an_object(schema: JsonObject) -> JsonObject:
    if schema.get("type", "object") != "object":
        raise ValueError("must be the schema of an object")
    return schema


class Function(ApiModel):
    name: FunctionName
    description: str | None = None
    parameters: Annotated[JsonObject, AfterValidator(_of_an_object)] | None = Field(
        default=None, description="The JSON schema of its arguments; none when absent"
    )
    strict: bool | None = Field(default=None, description="Arguments of a forced call fit with or without it")


class Tool(ApiModel):
    type: Literal["function"] = "function"
    function: Function


class NamedFunction(ApiModel):
    name: str


class NamedTool(ApiModel):
    type: Literal["function"] = "function"
    function: NamedFunction


Tools = Annotated[list[Tool], Field(max_length=MAX_TOOLS, fail_fast=True)]
Functions = Annotated[list[Function], Field(max_length=MAX_TOOLS, fail_fast=True)]
ToolChoice = Annotated[
    Literal["none", "auto", "required"] | NamedTool,
    in_one_sentence('give none, auto, required, or {"type": "function", "function": {"name": …}}'),
]
FunctionChoice = Annotated[
    Literal["none", "auto"] | NamedFunction, in_one_sentence('give none, auto, or {"name": …}')
]
