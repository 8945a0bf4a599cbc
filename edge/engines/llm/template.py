"""A chat as the one prompt that the model was trained on."""

from collections.abc import Sequence
from typing import Any

from jinja2 import TemplateError, meta

from edge.engines.base import InvalidRequest
from edge.engines.llm import turns as shape
from edge.engines.llm.sandbox import ChatEnvironment
from edge.engines.llm.tools import HermesFormat, TokenOf, ToolFormat, native_format

CHATML = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] "
    "+ '<|im_end|>\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
"""What models without a template of their own get: the format that most of them understand."""

_PROBE = "nearedge-probe"


def _no_token(_text: str) -> int | None:
    return None


class ChatTemplate:
    """Renders chats with the Jinja template of a model file. May be used by several threads at once.

    *token_of* gives the id of the token that the model's vocabulary has for a marker such as ``<tool_call>``.
    *image_marker* is the text that stands for an image; without one images are refused.

    Functions are rendered by a template that knows a format of calls that we know, and as text by us for all
    others; a template's own way to render them is then not used.

    Raises:
        TemplateError: the source is no template.
    """

    def __init__(
        self,
        source: str | None,
        *,
        bos_token: str,
        eos_token: str,
        token_of: TokenOf = _no_token,
        image_marker: str | None = None,
    ) -> None:
        source = source or CHATML
        environment = ChatEnvironment()
        self._render = environment.compile_bounded(source)
        self._tokens = {"bos_token": bos_token, "eos_token": eos_token}
        self._image_marker = image_marker
        takes_tools = "tools" in meta.find_undeclared_variables(environment.parse(source))
        native = native_format(source, token_of) if takes_tools else None
        self._native = native is not None
        self._format = native or HermesFormat(token_of)
        self._nine_characters = "length 9" in source
        self._wants_parts = not self._shows(_PROBE) and self._shows([{"type": "text", "text": _PROBE}])

    @property
    def tool_format(self) -> ToolFormat:
        """How the model writes function calls."""
        return self._format

    def render(
        self,
        messages: Sequence[dict[str, Any]],
        *,
        tools: Sequence[dict[str, Any]] = (),
        enable_thinking: bool = False,
    ) -> str:
        """Return the prompt of *messages*, open for the assistant's turn.

        *tools* are OpenAI's function objects: ``{"name", "description"?, "parameters"?}``.

        Raises:
            InvalidRequest: the template does not take these messages.
        """
        chat = shape.plain(messages, image_marker=self._image_marker)
        try:
            if self._native:
                return self._native_prompt(chat, tools, enable_thinking)
            return self._prompt(shape.written_out(chat), tools, enable_thinking)
        except InvalidRequest:
            raise
        except Exception as error:
            raise InvalidRequest(
                f"The model's chat template does not take these messages: {error}", param="messages"
            ) from error

    def _native_prompt(
        self, chat: list[shape.Turn], tools: Sequence[dict[str, Any]], enable_thinking: bool
    ) -> str:
        if not self._format.parallel:
            chat = shape.one_call_each(chat)
        if self._nine_characters:
            chat = shape.short_ids(chat)
        return self._rendered(chat, enable_thinking, [shape.offered(tool) for tool in tools] or None)

    def _prompt(self, chat: list[shape.Turn], tools: Sequence[dict[str, Any]], enable_thinking: bool) -> str:
        if not tools:
            return self._rendered(chat, enable_thinking)
        try:
            return self._rendered(shape.introduced(chat, tools, role="system"), enable_thinking)
        except TemplateError:
            if any(turn["role"] == "system" for turn in chat):
                raise
            # There are templates that refuse a system turn; this one is ours.
            return self._rendered(shape.introduced(chat, tools, role="user"), enable_thinking)

    def _rendered(
        self, chat: Sequence[shape.Turn], enable_thinking: bool, tools: list[dict[str, Any]] | None = None
    ) -> str:
        if self._wants_parts:
            chat = [turn | {"content": [{"type": "text", "text": turn["content"]}]} for turn in chat]
        return self._render(
            messages=chat,
            tools=tools,
            documents=None,
            add_generation_prompt=True,
            enable_thinking=enable_thinking,
            **self._tokens,
        )

    def _shows(self, content: str | list[dict[str, str]]) -> bool:
        """Whether the template renders a user's *content*, and not as Python writes it."""
        chat = [{"role": "user", "content": content}]
        try:
            prompt = self._render(messages=chat, tools=None, add_generation_prompt=True, **self._tokens)
        except Exception:  # noqa: BLE001 - somebody else's program may raise anything
            return False
        return _PROBE in prompt and "'type'" not in prompt
