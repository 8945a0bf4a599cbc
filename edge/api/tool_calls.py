"""The functions that a chat's model may call: what was asked, and the calls that it made."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from edge.api.requests import ChatRequest, Function, NamedFunction, NamedTool
from edge.api.responses import FunctionCall
from edge.errors import InvalidField
from edge.workers.messages import ToolCall


@dataclass(frozen=True, slots=True)
class AskedTools:
    """The fields of ``Generate`` that a request's tools make; ``legacy`` if it asked with ``functions``."""

    tools: list[dict[str, Any]] = field(default_factory=list)
    choice: Literal["none", "auto", "required"] = "auto"
    name: str | None = None
    parallel: bool = True
    legacy: bool = False

    @property
    def forced(self) -> bool:
        return self.choice == "required"


def asked_tools(body: ChatRequest) -> AskedTools:
    """Return what *body* asks for with ``tools`` or, in OpenAI's older form, with ``functions``.

    Raises:
        InvalidField: it asks for a function that it does not describe, or in both forms at once.
    """
    if body.tools and body.functions:
        raise InvalidField("functions: leave it out; tools says the same", param="functions")
    if body.functions:
        return _asked("functions", body.functions, "function_call", body.function_call, parallel=False)
    functions = [tool.function for tool in body.tools or []]
    if isinstance(body.function_call, NamedFunction):
        raise InvalidField("function_call: describe the function in functions", param="function_call")
    return _asked(
        "tools", functions, "tool_choice", body.tool_choice, parallel=body.parallel_tool_calls is not False
    )


def _asked(
    listed_in: str,
    functions: Sequence[Function],
    chosen_in: str,
    choice: Literal["none", "auto", "required"] | NamedTool | NamedFunction | None,
    *,
    parallel: bool,
) -> AskedTools:
    names = [function.name for function in functions]
    _refuse_doubles(listed_in, names)
    tools = [_described(function) for function in functions]
    named = choice.function if isinstance(choice, NamedTool) else choice
    legacy = listed_in == "functions"
    if isinstance(named, NamedFunction):
        if named.name not in names:
            raise InvalidField(f"{chosen_in}: {listed_in} has no function of that name", param=chosen_in)
        return AskedTools(tools, "required", named.name, parallel, legacy)
    if named == "required" and not tools:
        raise InvalidField(f"{chosen_in}: there is no function to call; add {listed_in}", param=chosen_in)
    return AskedTools(tools, named or "auto", None, parallel, legacy)


def _refuse_doubles(listed_in: str, names: Iterable[str]) -> None:
    seen: set[str] = set()
    for number, name in enumerate(names):
        if name in seen:
            raise InvalidField(f"{listed_in}: the name {name} is given twice", param=f"{listed_in}.{number}")
        seen.add(name)


def _described(function: Function) -> dict[str, Any]:
    described: dict[str, Any] = {"name": function.name}
    if function.description is not None:
        described["description"] = function.description
    if function.parameters:
        described["parameters"] = {"type": "object"} | function.parameters
    return described


class Calls:
    """The calls of one choice, which grow event by event."""

    def __init__(self) -> None:
        self._calls: dict[int, tuple[str, str, list[str]]] = {}

    def __bool__(self) -> bool:
        return bool(self._calls)

    def add(self, event: ToolCall) -> None:
        if event.index not in self._calls:
            self._calls[event.index] = (event.id or "", event.name or "", [])
        self._calls[event.index][2].append(event.arguments)

    @property
    def finished(self) -> list[dict[str, Any]]:
        """Every call, as ``tool_calls`` of a message holds it."""
        return [
            {
                "id": call_id,
                "type": "function",
                "function": FunctionCall(name=name, arguments="".join(arguments)),
            }
            for call_id, name, arguments in self._calls.values()
        ]


def deltas(event: ToolCall, *, legacy: bool) -> Iterable[dict[str, Any]]:
    """Yield the deltas of a streamed message that tell *event*.

    A call begins with its name and empty arguments, as OpenAI's do. With *legacy* a delta also has the
    ``function_call`` of the first call.
    """
    if event.id is not None:
        head: dict[str, Any] = {"name": event.name, "arguments": ""}
        yield _delta({"index": event.index, "id": event.id, "type": "function", "function": head}, legacy)
    if event.arguments:
        yield _delta({"index": event.index, "function": {"arguments": event.arguments}}, legacy)


def _delta(call: dict[str, Any], legacy: bool) -> dict[str, Any]:
    delta: dict[str, Any] = {"tool_calls": [call]}
    if legacy and call["index"] == 0:
        delta["function_call"] = call["function"]
    return delta
