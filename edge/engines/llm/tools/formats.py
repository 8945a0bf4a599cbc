"""The markups in which models were trained to call functions, and how to tell them by a chat template."""

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

from edge.engines.llm.json_schema import SchemaError
from edge.engines.llm.tools.arguments import parameter_schemas
from edge.engines.llm.tools.grammar import (
    THOUGHTS,
    Function,
    GrammarBuilder,
    literal,
)
from edge.engines.llm.tools.parser import Markup, ToolParser

Tool = dict[str, Any]
TokenOf = Callable[[str], int | None]
"""Returns the id of the one token that a model's vocabulary has for a marker, None if it has none."""


def _no_token(_text: str) -> int | None:
    return None


class ToolFormat(ABC):
    """How a model writes function calls. *token_of* knows the markers that are tokens of its vocabulary.

    Tools are OpenAI's function objects: ``{"name", "description"?, "parameters"?}``.
    """

    markup: Markup
    markers: tuple[str, ...]
    """Every text of the markup that may be a token of its own."""
    parallel = True
    """Whether the model was trained to make several calls in one answer."""

    def __init__(self, token_of: TokenOf = _no_token) -> None:
        found = {text: token_of(text) for text in (*self.markers, *THOUGHTS)}
        self._tokens = {text: token for text, token in found.items() if token is not None}

    @cached_property
    def shown(self) -> dict[int, bytes]:
        """The text of tokens that the parser must see; a vocabulary may hide them as control tokens."""
        return {token: text.encode() for text, token in self._tokens.items() if text in self.markers}

    def schemas(self, tools: Sequence[Tool], *, name: str | None = None) -> list[tuple[str, dict[str, Any]]]:
        """Return the field and the schema of all arguments that the grammars of *tools* enforce.

        Raises:
            InvalidRequest: a tool's arguments would not be an object.
        """
        return [
            (param, schema) for param, schema in parameter_schemas(tools, name=name) if schema is not None
        ]

    def grammar(self, tools: Sequence[Tool], *, name: str | None = None, parallel: bool = True) -> str:
        """Return the grammar of an answer that is one call, or several with *parallel*, of *tools*.

        With *name* only the tool of that name is called.

        Raises:
            InvalidRequest: the arguments of a tool cannot be enforced.
        """
        builder = GrammarBuilder(self._tokens, parallel=parallel and self.parallel)
        return builder.build(self._forced(builder, self._functions(builder, tools, name)))

    def auto_grammar(self, tools: Sequence[Tool], *, parallel: bool = True) -> str:
        """Return the grammar of any text in which whatever begins like a call is a whole call of *tools*.

        Without *parallel* the answer ends with its first call. A tool whose schema cannot be enforced gets
        arguments that are any object: nobody asked for a call.

        Raises:
            InvalidRequest: a tool's arguments would not be an object.
        """
        builder = GrammarBuilder(self._tokens, parallel=parallel and self.parallel)
        call = self._found(builder, self._functions(builder, tools, None, lenient=True))
        text = builder.text()
        return builder.build(f"({call})* {text}" if builder.parallel else f"{call} | {text}")

    def parser(self, tools: Sequence[Tool], *, parallel: bool = True, forced: bool = False) -> ToolParser:
        """Return a parser for one answer; with *parallel* False it is complete after the first call.

        *forced* says that the answer is held to :meth:`grammar`.
        """
        names = [tool["name"] for tool in tools]
        return ToolParser(self.markup, names, parallel=parallel, forced=forced)

    def _functions(
        self, builder: GrammarBuilder, tools: Sequence[Tool], name: str | None, *, lenient: bool = False
    ) -> list[Function]:
        names = [tool["name"] for tool in tools if name is None or tool["name"] == name]
        functions = []
        for number, (param, schema) in enumerate(parameter_schemas(tools, name=name)):
            rule = f"function_{number}_arguments"
            try:
                arguments = builder.arguments(rule, schema)
            except SchemaError as error:
                if not lenient:
                    raise error.about(param) from None
                arguments = builder.arguments(rule, {"type": "object"})
            functions.append(Function(names[number], arguments))
        return functions

    @abstractmethod
    def _forced(self, builder: GrammarBuilder, functions: Sequence[Function]) -> str:
        """Return an expression for an answer of calls only."""

    @abstractmethod
    def _found(self, builder: GrammarBuilder, functions: Sequence[Function]) -> str:
        """Return an expression for text that ends with a call, or with one group of them."""


class HermesFormat(ToolFormat):
    """``<tool_call>`` around an object of ``name`` and ``arguments``: Hermes, Qwen 2.5 and 3, Granite 4."""

    markup = Markup(opener="<tool_call>", closer="</tool_call>")
    markers = ("<tool_call>", "</tool_call>")

    def _forced(self, builder: GrammarBuilder, functions: Sequence[Function]) -> str:
        call = builder.rule("call", f"{builder.marker('<tool_call>')} {self._body(builder, functions)}")
        return builder.several(call, "\n")

    def _found(self, builder: GrammarBuilder, functions: Sequence[Function]) -> str:
        return f"{builder.text_until('<tool_call>')} {self._body(builder, functions)}"

    def _body(self, builder: GrammarBuilder, functions: Sequence[Function]) -> str:
        call = builder.choice("function", functions, '\n{"name": "', '", "arguments": ')
        return f"{call} {literal('}' + chr(10))} {builder.marker('</tool_call>')}"


class LlamaFormat(ToolFormat):
    """An answer that is one object of ``name`` and ``parameters``: Llama 3.1 to 3.3."""

    markup = Markup(opener="<|python_tag|>", bare=True)
    markers = ("<|python_tag|>",)
    parallel = False

    def _forced(self, builder: GrammarBuilder, functions: Sequence[Function]) -> str:
        return builder.choice("function", functions, '{"name": "', '", "parameters": ') + ' "}"'

    def _found(self, builder: GrammarBuilder, functions: Sequence[Function]) -> str:
        tagged = f"{builder.text_until('<|python_tag|>')} {self._forced(builder, functions)}"
        blank = r"[ \t\r\n]{0,8}"
        kind = rf'("type"{blank}:{blank}"function"{blank},{blank})?'
        bare = []
        for number, function in enumerate(functions):
            name = re.escape(function.name)
            begin = rf'/{blank}\{{{blank}{kind}"name"{blank}:{blank}"{name}"/'
            builder.rule(f"bare_{number}[lazy]", begin)
            bare.append(f"bare_{number} {literal(', ' + chr(34) + 'parameters' + chr(34) + ': ')} ")
            bare[-1] += function.arguments + ' "}"'
        return f"{tagged} | {' | '.join(bare)}"


class MistralListFormat(ToolFormat):
    """``[TOOL_CALLS]`` before a list of objects of ``name`` and ``arguments``: Mistral up to v7."""

    markup = Markup(opener="[TOOL_CALLS]", named=True)
    markers = ("[TOOL_CALLS]",)

    def _forced(self, builder: GrammarBuilder, functions: Sequence[Function]) -> str:
        return f"{builder.marker('[TOOL_CALLS]')} {self._list(builder, functions)}"

    def _found(self, builder: GrammarBuilder, functions: Sequence[Function]) -> str:
        return f"{builder.text_until('[TOOL_CALLS]')} {self._list(builder, functions)}"

    def _list(self, builder: GrammarBuilder, functions: Sequence[Function]) -> str:
        call = builder.choice("function", functions, '{"name": "', '", "arguments": ') + ' "}"'
        return f'"[" {builder.several(call, ", ")} "]"'


class MistralFormat(ToolFormat):
    """``[TOOL_CALLS]name[ARGS]{…}`` for each call: Mistral since v11, with ``[CALL_ID]`` at first."""

    markup = Markup(opener="[TOOL_CALLS]", named=True)
    markers = ("[TOOL_CALLS]", "[ARGS]", "[CALL_ID]")

    def __init__(self, token_of: TokenOf = _no_token, *, call_ids: bool = False) -> None:
        super().__init__(token_of)
        self._call_ids = call_ids

    def _forced(self, builder: GrammarBuilder, functions: Sequence[Function]) -> str:
        call = f"{builder.marker('[TOOL_CALLS]')} {self._body(builder, functions)}"
        return builder.several(call, "")

    def _found(self, builder: GrammarBuilder, functions: Sequence[Function]) -> str:
        return f"{builder.text_until('[TOOL_CALLS]')} {self._body(builder, functions)}"

    def _body(self, builder: GrammarBuilder, functions: Sequence[Function]) -> str:
        between = builder.marker("[ARGS]")
        if self._call_ids:
            between = f"{builder.marker('[CALL_ID]')} /[a-zA-Z0-9]{{9}}/ {between}"
        calls = [f"{literal(each.name)} {between} {each.arguments}" for each in functions]
        return builder.rule("function", " | ".join(calls))


def native_format(source: str, token_of: TokenOf = _no_token) -> ToolFormat | None:
    """Return the format that a chat template renders and asks for, None if it is none of those known here."""
    if "[TOOL_CALLS]" in source:
        if "[ARGS]" in source:
            return MistralFormat(token_of, call_ids="[CALL_ID]" in source)
        return MistralListFormat(token_of)
    if re.search(r"<function=|<arg_key>|<parameter=", source):
        return None
    if "<tool_call>" in source and "arguments" in source:
        return HermesFormat(token_of)
    if re.search(r'\\?"parameters\\?"', source) and re.search(r"<\|(python_tag|start_header_id)\|>", source):
        return LlamaFormat(token_of)
    return None
