"""From what a caller asks to the tokens that the model continues."""

import llama_cpp as c

from edge.engines.base import InvalidRequest
from edge.engines.llama import Model
from edge.engines.llm.template import ChatTemplate
from edge.workers.messages import Generate


class PromptBuilder:
    """Makes prompts of at most *context_tokens* less one. May be called from several threads."""

    def __init__(self, model: Model, template: ChatTemplate, *, context_tokens: int) -> None:
        self._model = model
        self._template = template
        self._context_tokens = context_tokens
        self._bos = model.special_piece(c.llama_vocab_bos(model.vocab))
        self._infill = (
            c.llama_vocab_fim_pre(model.vocab),
            c.llama_vocab_fim_suf(model.vocab),
            c.llama_vocab_fim_mid(model.vocab),
        )

    @property
    def infills(self) -> bool:
        """Whether the model knows how to fill in between a prompt and a suffix."""
        return min(self._infill) >= 0

    def build(self, request: Generate) -> list[int]:
        """Return the prompt of *request*.

        Raises:
            InvalidRequest: it is empty, too long, or nothing that this model takes.
        """
        if request.messages is not None:
            tools = request.tools if request.tool_choice != "none" else []
            text = self._template.render(
                request.messages, tools=tools, enable_thinking=request.enable_thinking
            )
            add_special = not (self._bos and text.startswith(self._bos))
            return self._fit(self._tokenize(text, "messages", add_special=add_special), "messages")
        before = self._raw(request.prompt or [])
        if request.suffix is None:
            return self._fit(before, "prompt")
        if not self.infills:
            raise InvalidRequest("This model cannot fill in before a suffix; leave it out", param="suffix")
        prefix, suffix, middle = self._infill
        after = self._tokenize(request.suffix, "suffix", add_special=False)
        return self._fit([prefix, *before, suffix, *after, middle], "prompt")

    def text(self, prompt: str | list[int]) -> str:
        """Return what a raw *prompt* reads like."""
        if isinstance(prompt, str):
            return prompt
        return b"".join(self._model.pieces[token] for token in prompt).decode("utf-8", "replace")

    def _raw(self, prompt: str | list[int]) -> list[int]:
        if isinstance(prompt, str):
            return self._tokenize(prompt, "prompt", add_special=True)
        if any(not 0 <= token < self._model.vocab_size for token in prompt):
            raise InvalidRequest(
                f"prompt holds a token id outside 0 to {self._model.vocab_size - 1}", param="prompt"
            )
        return prompt

    def _tokenize(self, text: str, param: str, *, add_special: bool) -> list[int]:
        if len(text) > self._context_tokens * self._model.longest_piece:
            raise InvalidRequest(
                f"The prompt of {len(text)} characters cannot fit the model's context of "
                f"{self._context_tokens} tokens; shorten {param}",
                param=param,
            )
        return self._model.tokenize(text, add_special=add_special, parse_special=True)

    def _fit(self, prompt: list[int], param: str) -> list[int]:
        if not prompt:
            raise InvalidRequest(f"{param} holds no text", param=param)
        if len(prompt) >= self._context_tokens:
            raise InvalidRequest(
                f"The prompt is {len(prompt)} tokens long and the model's context holds "
                f"{self._context_tokens}; shorten {param}",
                param=param,
            )
        return prompt
