"""Function calls of language models: the grammars that force them and the parsers that find them."""

from edge.engines.llm.tools.formats import HermesFormat, TokenOf, ToolFormat, native_format
from edge.engines.llm.tools.parser import ToolParser

__all__ = ["HermesFormat", "TokenOf", "ToolFormat", "ToolParser", "native_format"]
