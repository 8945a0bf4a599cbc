"""What clients may send to have a chat answered."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from edge.api.requests.fields import ApiModel
from edge.api.requests.json_values import JsonObject
from edge.api.requests.messages import Messages
from edge.api.requests.sampling import Logprobs, Sampling
from edge.api.requests.tools import FunctionChoice, Functions, ToolChoice, Tools


class JsonSchema(ApiModel):
    name: str | None = None
    schema_: JsonObject = Field(alias="schema", description="The JSON schema that the answer must fit")
    strict: bool | None = Field(default=None, description="The answer fits with or without it")


class ResponseFormat(ApiModel):
    type: Literal["text", "json_object", "json_schema"]
    json_schema: JsonSchema | None = Field(default=None, description="Needed with the type json_schema")

    @model_validator(mode="after")
    def _has_its_schema(self) -> Self:
        if self.type == "json_schema" and self.json_schema is None:
            raise ValueError("the type json_schema needs json_schema with a schema in it")
        return self


class ChatRequest(Sampling):
    messages: Messages
    enable_thinking: bool | None = None
    logprobs: bool | None = Field(default=None, description="Tell the log-probability of each token")
    top_logprobs: Logprobs | None = Field(
        default=None, description="With logprobs: also of this many likeliest tokens at each place"
    )
    tools: Tools | None = Field(default=None, description="Functions that the model may call")
    tool_choice: ToolChoice | None = Field(
        default=None,
        description="none: call nothing; auto, or absent: the model decides; required: call one at least; "
        "or the one function to call. The arguments of a forced call always fit their schema",
    )
    parallel_tool_calls: bool | None = Field(default=None, description="false: one call at most")
    functions: Functions | None = Field(default=None, description="OpenAI's older form of tools")
    function_call: FunctionChoice | None = Field(
        default=None,
        description="OpenAI's older form of tool_choice. A call that functions led to is answered as "
        "function_call and as tool_calls, with the finish reason tool_calls",
    )
    response_format: ResponseFormat | None = Field(
        default=None, description="json_object and json_schema: the answer always parses, and fits the schema"
    )
    modalities: Annotated[list[Literal["text"]], Field(max_length=1, fail_fast=True)] | None = None
