"""Text generation on llama.cpp: many sequences in one context, a batch for every step."""

import logging
import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import llama_cpp as c

from edge.engines.base import Cancelled, InvalidRequest, Job
from edge.engines.llama import Batch, Context, EmbeddingBatch, Model
from edge.engines.llm.candidates import Floats
from edge.engines.llm.constraint import Constraint, Constraints
from edge.engines.llm.generation import Generation
from edge.engines.llm.options import LlmOptions
from edge.engines.llm.pace import Pace
from edge.engines.llm.prompt import PromptBuilder
from edge.engines.llm.scheduler import Scheduler
from edge.engines.llm.step import Chunk, Forget, Scheduled, Step
from edge.engines.llm.template import ChatTemplate
from edge.engines.llm.threads import ThreadChoice
from edge.engines.llm.tools import ToolParser
from edge.engines.llm.vision import Projector
from edge.workers.messages import Generate

log = logging.getLogger(__name__)

MAX_PREFILL_TOKENS = 512
"""Prompt tokens per step while no stream runs. Larger steps are hardly faster, and a caller who leaves is
noticed between two steps."""

WIDEST_GAP = 2
"""A padded row costs about 3.5 ms with SmolLM2-135M on 2 cores, a second part of a step 13 ms."""

MAX_FAILURES = 3
"""Steps with a sequence in them that may fail before it is given up."""


@dataclass(slots=True)
class Timing:
    """What the engine did since it was loaded; seconds of wall time."""

    steps: int = 0
    decode_seconds: float = 0.0
    """In ``llama_decode``."""
    total_seconds: float = 0.0
    """In steps as a whole."""


class LlmEngine:
    """Answers ``Generate`` with ``Text`` and ``ToolCall`` events and one ``Generated``.

    One thread owns the context. Prompts are rendered, tokenized and their grammars compiled on two others.
    """

    def __init__(self, model: Model, options: LlmOptions, projector: Projector | None = None) -> None:
        self._model = model
        self._context = Context(model, options.params())
        self._context_tokens = min(options.context_tokens, self._context.sequence_tokens)
        self._options = options
        self._batch = Batch(self._context.batch_size)
        self._template = ChatTemplate(
            model.metadata("tokenizer.chat_template"),
            bos_token=model.special_piece(c.llama_vocab_bos(model.vocab)),
            eos_token=model.special_piece(c.llama_vocab_eos(model.vocab)),
            token_of=model.token_of,
            image_marker=None if projector is None else projector.marker,
        )
        self._prompts = PromptBuilder(model, self._template, projector, context_tokens=self._context_tokens)
        self._constraints = Constraints(model)
        self._scheduler = Scheduler(
            cells=options.kv_tokens,
            slots=options.sequences,
            running=options.slots,
            outputs=options.outputs,
            idle_cells=options.prefix_tokens,
            widest_gap=0 if options.unified else WIDEST_GAP,
        )
        self._threads = ThreadChoice(options.threads)
        self._pace = Pace(target_seconds=options.step_seconds, largest=MAX_PREFILL_TOKENS)
        self._generations: dict[int, Generation] = {}
        self._arrived: deque[Generation] = deque()
        self._changed = threading.Condition()
        self._computing: Sequence[Scheduled] = ()
        self.timing = Timing()
        self._preparing = ThreadPoolExecutor(2, thread_name_prefix="prompts")
        threading.Thread(target=self._serve, name="LlmEngine", daemon=True).start()

    @property
    def info(self) -> dict[str, Any]:
        return {
            "context_tokens": self._context_tokens,
            "parameters": self._model.parameters,
            "slots": self._options.slots,
            "kv_tokens": self._options.kv_tokens,
        }

    @property
    def idle(self) -> bool:
        """Whether no sequence is under way."""
        return not self._scheduler.has_work and not self._arrived

    @property
    def free_cells(self) -> int:
        """How many tokens have room in the KV cache, also in place of such as are only kept for reuse."""
        return self._scheduler.free_cells

    def submit(self, job: Job) -> None:
        prepared = self._preparing.submit(self._prepare, job)
        dropping = threading.Lock()

        def drop() -> None:
            # A future says again and again that it is cancelled, and this may be called twice.
            if dropping.acquire(blocking=False) and prepared.cancel():
                job.finish(Cancelled())

        job.on_cancel(drop)

    # On the preparing threads

    def _prepare(self, job: Job) -> None:
        try:
            job.check()
            generation = self._generation(job)
        except BaseException as error:  # noqa: BLE001 - a panic of native code derives from BaseException
            job.finish(error)
            return
        with self._changed:
            self._arrived.append(generation)
            self._changed.notify()

    def _generation(self, job: Job) -> Generation:
        request = job.request
        if not isinstance(request, Generate):
            raise InvalidRequest("This model generates text", param="model")
        prompt = self._prompts.build(request)
        room = self._context_tokens - len(prompt.tokens)
        constraint, parser = self._guides(request)
        return Generation(
            job,
            request,
            prompt,
            model=self._model,
            limit=room if request.max_tokens is None else min(room, request.max_tokens),
            constraint=constraint,
            parser=parser,
            shown=self._template.tool_format.shown if parser is not None else {},
            echo=self._prompts.text(request.prompt) if request.echo and request.prompt else "",
        )

    def _guides(self, request: Generate) -> tuple[Constraint | None, ToolParser | None]:
        """Return what holds the answer of *request* to its form, and what reads function calls out of it."""
        if not request.tools or request.tool_choice == "none":
            if request.json_schema is None:
                return None, None
            return self._constraints.json(request.json_schema, param="response_format"), None
        markup = self._template.tool_format
        parallel = request.parallel_tool_calls and request.tool_name is None
        forced = request.tool_choice == "required"
        if forced:
            grammar = markup.grammar(request.tools, name=request.tool_name, parallel=parallel)
        else:
            grammar = markup.auto_grammar(request.tools, parallel=parallel)
        parser = markup.parser(request.tools, parallel=parallel, forced=forced)
        return self._constraints.lark(grammar, param="tools"), parser

    # On the engine's own thread

    def _serve(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._arrived or self._scheduler.has_work)
                arrived = list(self._arrived)
                self._arrived.clear()
            for generation in arrived:
                self._generations[id(generation.scheduled)] = generation
                self._scheduler.add(generation.scheduled)
            del arrived
            self._end_cancelled()
            try:
                self._step()
            except Exception as error:  # noqa: BLE001 - this thread must go on, or every caller waits for ever
                self._recover(error)

    def _end_cancelled(self) -> None:
        for generation in [one for one in self._generations.values() if one.job.cancelled]:
            generation.break_off()
            self._finish(generation, Cancelled())

    def _finish(self, generation: Generation, error: BaseException | None = None) -> None:
        self._scheduler.remove(generation.scheduled)
        del self._generations[id(generation.scheduled)]
        generation.job.finish(error)

    def _step(self) -> None:
        started = time.perf_counter()
        self._computing = ()
        decoding = self._scheduler.decoding
        step = self._scheduler.plan(self._pace.budget(decoding=decoding))
        if step is None:
            return
        self._computing = [chunk.sequence for chunk in step.chunks]
        self._change(step)
        if step.chunks:
            seconds = self._fill(step)
            before = time.perf_counter()
            if len(self._batch):
                self._context.decode(self._batch.native)
            seconds += time.perf_counter() - before
            for padding in step.paddings:
                self._context.forget(padding.slot, padding.position)
            self._scheduler.commit(step)
            self._draw(step)
            self._learn(step, seconds)
            self.timing.decode_seconds += seconds
        self.timing.steps += 1
        self.timing.total_seconds += time.perf_counter() - started

    def _learn(self, step: Step, seconds: float) -> None:
        rows = len(step.chunks) + len(step.paddings)
        prefill_tokens = step.prefill_tokens
        self._pace.note(
            seconds, decoding=sum(chunk.decoding for chunk in step.chunks), prefill_tokens=prefill_tokens
        )
        if prefill_tokens == 0:
            threads = self._threads.threads
            self._threads.note(rows, seconds)
            if self._threads.threads != threads:
                self._context.set_threads(self._threads.threads, self._threads.threads)

    def _change(self, step: Step) -> None:
        for change in step.changes:
            if isinstance(change, Forget):
                self._context.forget(change.slot, change.start)
            else:
                self._context.share(change.source, change.target, change.tokens)

    def _fill(self, step: Step) -> float:
        """Put *step* into the batch; return the seconds that images took, which go ahead of it."""
        image_seconds = 0.0
        self._batch.clear()
        paddings = deque(step.paddings)
        for chunk in step.chunks:
            sequence = chunk.sequence
            assert sequence.slot is not None
            while paddings and paddings[0].slot < sequence.slot:
                padding = paddings.popleft()
                self._batch.add([0], position=padding.position, sequence=padding.slot, output="none")
            generation = self._generations[id(sequence)]
            generation.start()
            start = chunk.start
            if generation.images:
                before = time.perf_counter()
                start = self._show_images(generation, chunk, sequence.slot)
                image_seconds += time.perf_counter() - before
            if start < chunk.start + chunk.count:
                self._batch.add(
                    sequence.tokens[start : chunk.start + chunk.count],
                    position=start,
                    sequence=sequence.slot,
                    output=chunk.output,
                )
        return image_seconds

    def _show_images(self, generation: Generation, chunk: Chunk, slot: int) -> int:
        """Compute *chunk* up to the end of its last image; return where the tokens after it begin.

        A batch holds either tokens or embeddings, so these go ahead of the step's own batch.
        """
        tokens, start, end = generation.scheduled.tokens, chunk.start, chunk.start + chunk.count
        for image in generation.images:
            first, last = max(image.start, start), min(image.end, end)
            if first >= last:
                continue
            if first > start:
                batch = Batch(first - start)
                batch.add(tokens[start:first], position=start, sequence=slot, output="none")
                self._context.decode(batch.native)
            rows = image.rows[first - image.start : last - image.start]
            self._context.decode(EmbeddingBatch(rows, position=first, sequence=slot).native)
            start = last
        return start

    def _draw(self, step: Step) -> None:
        """Draw a token for every sequence whose tokens are all computed."""
        outputs = sum(chunk.outputs for chunk in step.chunks)
        if outputs == 0:
            return
        logits = self._context.logits(outputs)
        likeliest: Sequence[int] = logits.argmax(axis=1).tolist()
        row = 0
        for chunk in step.chunks:
            if chunk.output == "none":
                continue
            generation = self._generations[id(chunk.sequence)]
            rows = logits[row : row + chunk.outputs]
            row += chunk.outputs
            try:
                ended = self._advance(generation, rows, chunk.start, chunk.finishes, likeliest[row - 1])
            except BaseException as error:  # noqa: BLE001 - what fails here ends this sequence alone
                self._finish(generation, error)
            else:
                if ended:
                    self._finish(generation)

    def _advance(
        self, generation: Generation, rows: Floats, start: int, finishes: bool, likeliest: int
    ) -> bool:
        if generation.scheduled.outputs_wanted:
            generation.score(rows, start)
        if not finishes:
            return False
        generation.scheduled.outputs_wanted = False
        if generation.end_without_drawing():
            return True
        sampler = generation.sampler
        if sampler.plain and sampler.fits(likeliest):
            sampler.take(likeliest)
            return generation.take(likeliest, rows[-1])
        return generation.draw(rows[-1])

    def _recover(self, error: Exception) -> None:
        """Begin again with an empty cache; give up the sequences at fault when that does not help."""
        log.error("step failed: %s", error, exc_info=error)
        # A plan that fails has no step yet: anyone may be at fault.
        at_fault = list(self._computing) or [*self._scheduler.running, *self._scheduler.waiting]
        self._context.clear()
        self._scheduler.clear()
        for generation in [self._generations[id(one)] for one in at_fault if id(one) in self._generations]:
            generation.failures += 1
            if generation.failures >= MAX_FAILURES:
                self._finish(generation, error)


def load(files: Mapping[str, Path], options: Mapping[str, Any]) -> LlmEngine:
    """Load the GGUF file of the role ``model``; options as in :class:`LlmOptions`.

    A file of the role ``projector`` lets the model see images.
    """
    model = Model(files["model"])
    chosen = LlmOptions.of(model, options)
    projector = None
    if "projector" in files:
        projector = Projector(model, files["projector"], threads=chosen.threads)
    return LlmEngine(model, chosen, projector)
