"""A chat as the one prompt that the model was trained on."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, NoReturn

from jinja2 import TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from edge.engines.base import InvalidRequest

CHATML = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] "
    "+ '<|im_end|>\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
"""What models without a template of their own get: the format that most of them understand."""


def _refuse(message: str) -> NoReturn:
    raise TemplateError(message)


def _strftime_now(pattern: str) -> str:
    return datetime.now(UTC).strftime(pattern)


class ChatTemplate:
    """Renders chats with the Jinja template of a model file.

    The template is somebody else's program, so it runs sandboxed. Its environment is the one that model
    authors write for: transformers' ``apply_chat_template``.
    """

    def __init__(self, source: str | None, *, bos_token: str, eos_token: str) -> None:
        environment = ImmutableSandboxedEnvironment(
            trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"]
        )
        environment.globals |= {"raise_exception": _refuse, "strftime_now": _strftime_now}
        self._template = environment.from_string(source or CHATML)
        self._tokens = {"bos_token": bos_token, "eos_token": eos_token}

    def render(self, messages: Sequence[dict[str, Any]], *, enable_thinking: bool) -> str:
        """Return the prompt of *messages*, open for the assistant's turn.

        Raises:
            InvalidRequest: the template does not take these messages.
        """
        try:
            return self._template.render(
                messages=messages,
                add_generation_prompt=True,
                enable_thinking=enable_thinking,
                **self._tokens,
            )
        except (TemplateError, TypeError, ValueError, KeyError, AttributeError) as error:
            raise InvalidRequest(
                f"The model's chat template does not take these messages: {error}", param="messages"
            ) from error
