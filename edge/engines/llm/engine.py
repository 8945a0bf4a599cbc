"""Text generation on llama.cpp, one sequence at a time."""

import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import llama_cpp as c

from edge.engines.base import InvalidRequest, Job, SerialEngine
from edge.engines.llama import Batch, Context, Model
from edge.engines.llm.sampling import Sampler
from edge.engines.llm.template import ChatTemplate
from edge.engines.llm.text import TextAssembler
from edge.workers.messages import Generate, Generated, Text

PREFILL_TOKENS = 512
"""Prompt tokens per step; between two steps a caller who has left is noticed."""


class LlmEngine(SerialEngine):
    """Answers ``Generate`` with ``Text`` events and one ``Generated``."""

    def __init__(self, model: Model, *, context_tokens: int, threads: int) -> None:
        self._model = model
        self._context_tokens = min(context_tokens, model.train_context)
        params = c.llama_context_default_params()
        params.n_ctx = self._context_tokens
        params.n_batch = params.n_ubatch = PREFILL_TOKENS
        params.n_seq_max = 1
        params.n_threads = params.n_threads_batch = threads
        self._context = Context(model, params)
        self._batch = Batch(PREFILL_TOKENS)
        self._bos = model.special_piece(c.llama_vocab_bos(model.vocab))
        self._template = ChatTemplate(
            model.metadata("tokenizer.chat_template"),
            bos_token=self._bos,
            eos_token=model.special_piece(c.llama_vocab_eos(model.vocab)),
        )
        super().__init__()

    @property
    def info(self) -> dict[str, Any]:
        return {"context_tokens": self._context_tokens, "parameters": self._model.parameters}

    def run(self, job: Job) -> None:
        request = job.request
        if not isinstance(request, Generate):
            raise InvalidRequest("This model generates text", param="model")
        started = time.perf_counter()
        prompt = self._prompt(request)
        room = self._context_tokens - len(prompt)
        limit = min(room, request.max_tokens) if request.max_tokens is not None else room
        assembler = TextAssembler(request.stop)
        made = 0
        ended = False
        for token in self._tokens(job, request, prompt, limit):
            made += 1
            if self._model.is_end(token):
                ended = True
                break
            text = assembler.feed(self._model.pieces[token])
            if text:
                job.emit(Text(text))
            if assembler.stopped:
                break
        rest = assembler.finish()
        if rest:
            job.emit(Text(rest))
        job.emit(
            Generated(
                finish_reason="stop" if ended or assembler.stopped else "length",
                prompt_tokens=len(prompt),
                completion_tokens=made,
                queue_ms=(started - job.submitted) * 1000,
                inference_ms=(time.perf_counter() - started) * 1000,
            )
        )

    def _prompt(self, request: Generate) -> list[int]:
        if request.messages is not None:
            text = self._template.render(request.messages, enable_thinking=request.enable_thinking)
            add_special = not (self._bos and text.startswith(self._bos))
            return self._fit(self._tokenize(text, "messages", add_special=add_special), "messages")
        if isinstance(request.prompt, str):
            return self._fit(self._tokenize(request.prompt, "prompt", add_special=True), "prompt")
        tokens = request.prompt or []
        if any(not 0 <= token < self._model.vocab_size for token in tokens):
            raise InvalidRequest(
                f"prompt holds a token id outside 0 to {self._model.vocab_size - 1}", param="prompt"
            )
        return self._fit(tokens, "prompt")

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

    def _tokens(self, job: Job, request: Generate, prompt: list[int], limit: int) -> Iterator[int]:
        self._context.clear()
        sampler = Sampler(request, vocab_size=self._model.vocab_size, context_tokens=self._context_tokens)
        try:
            for start in range(0, len(prompt), PREFILL_TOKENS):
                job.check()
                self._step(prompt[start : start + PREFILL_TOKENS], start)
            for made in range(1, limit + 1):
                job.check()
                token = sampler.sample(self._context.handle)
                yield token
                if made < limit:
                    self._step([token], len(prompt) + made - 1)
        finally:
            sampler.close()

    def _step(self, tokens: list[int], position: int) -> None:
        self._batch.clear()
        self._batch.add(tokens, position=position, sequence=0, output="last")
        self._context.decode(self._batch.native)


def load(files: Mapping[str, Path], options: Mapping[str, Any]) -> LlmEngine:
    """Load the GGUF file of the role ``model``; options ``context_tokens`` and ``threads``."""
    model = Model(files["model"])
    return LlmEngine(model, context_tokens=options["context_tokens"], threads=options["threads"])
