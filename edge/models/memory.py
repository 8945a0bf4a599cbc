"""How much memory a model needs, and how much this machine has left."""

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from edge.models.gguf_header import GgufHeader, read_header

MIB = 1024 * 1024

PROCESS_BYTES = 96 * MIB
"""A worker's interpreter, libraries and their scratch; 40 to 90 MiB were measured."""

WEIGHT_FACTORS = {"kokoro": 4.0, "hibari": 4.0, "whisper": 1.5}
"""What an engine keeps of its main file while it works, as a multiple of the file. Measured: onnxruntime
holds int8 weights 3.5 times over (Kokoro: 89 MiB of file, 317 MiB), CTranslate2 once (tiny.en: 72 and 98)."""

MAX_LAYERS = 4096
"""A damaged header may say any number."""

MAX_TOKENS = 2**31

KEY_BYTES = 34 / 32
"""Bytes of a number of a key in the KV cache: Q8_0, a scale of two bytes for every 32."""

WIDE_KEY_BYTES = 2
"""The same where heads are no multiple of 32."""

VALUE_BYTES = 2
"""Bytes of a number of a value."""

SLOTS = 16
"""Sequences that a language model runs at once, where its options do not say."""


class Memory(Protocol):
    """Tells how much memory is left."""

    def free_bytes(self, pids: Iterable[int]) -> int | None:
        """Return what new processes can have while those of *pids* keep theirs, None if nobody can tell."""


class SystemMemory(Memory):
    """Of this machine, or of the control group (version 2) that this process runs in, where that is less."""

    def __init__(self, proc: Path = Path("/proc"), groups: Path = Path("/sys/fs/cgroup")) -> None:
        self._proc = proc
        self._groups = groups

    def free_bytes(self, pids: Iterable[int]) -> int | None:
        left = [*self._of_machine(pids), *self._of_groups()]
        return max(0, min(left)) if left else None

    def total_bytes(self) -> int:
        """Return how much there would be with nothing else running."""
        total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        limits = (_number(level / "memory.max") for level in self._levels())
        return min([total, *(limit for limit in limits if limit is not None)])

    def _of_machine(self, pids: Iterable[int]) -> Iterable[int]:
        available = _kibibytes(self._proc / "meminfo", "MemAvailable")
        if available is not None:
            # The kernel counts weights that are mapped from their file as available.
            mapped = (_kibibytes(self._proc / str(pid) / "smaps_rollup", "Pss_File") or 0 for pid in pids)
            yield available - sum(mapped)

    def _of_groups(self) -> Iterable[int]:
        for level in self._levels():
            limit, used = _number(level / "memory.max"), _number(level / "memory.current")
            if limit is not None and used is not None:
                # As kubelet counts: file pages that nobody has touched lately give way.
                yield limit - used + (_stat(level / "memory.stat", "inactive_file") or 0)

    def _levels(self) -> Iterable[Path]:
        """Yield the directories of this process's control group and those around it, innermost first."""
        try:
            lines = (self._proc / "self" / "cgroup").read_text().splitlines()
        except OSError:
            return
        own = next((line.removeprefix("0::/") for line in lines if line.startswith("0::/")), None)
        if own is None:
            return
        group = self._groups / own
        for level in [group, *group.parents]:
            yield level
            if level == self._groups:
                break


def _number(file: Path) -> int | None:
    try:
        return int(file.read_text())
    except (OSError, ValueError):  # memory.max is "max" where there is no limit
        return None


def _stat(file: Path, name: str) -> int | None:
    return next((int(words[1]) for words in _words(file) if words[0] == name), None)


def _kibibytes(file: Path, name: str) -> int | None:
    return next((int(words[1]) * 1024 for words in _words(file) if words[0] == f"{name}:"), None)


def _words(file: Path) -> list[list[str]]:
    try:
        return [words for line in file.read_text().splitlines() if len(words := line.split()) > 1]
    except OSError:
        return []


def memory_needed(engine: str, files: Mapping[str, Path], options: Mapping[str, Any]) -> int:
    """Return about how many bytes a model takes with everything that it may use later, rather too many.

    *engine*, *files* and *options* are those of its worker. Every GGUF file is checked on the way.

    Raises:
        GgufError: a GGUF file is damaged.
        OSError: a file cannot be read.
    """
    headers = {role: read_header(path) for role, path in files.items() if path.suffix == ".gguf"}
    sizes = {role: path.stat().st_size for role, path in files.items()}
    total = PROCESS_BYTES + sum(sizes.values())
    total += int(sizes["model"] * (WEIGHT_FACTORS.get(engine, 1.0) - 1.0))
    if (header := headers.get("model")) is not None:
        total += _context_bytes(header, engine, options)
    return total


def _context_bytes(header: GgufHeader, engine: str, options: Mapping[str, Any]) -> int:
    """Return the bytes of a llama.cpp context: KV cache, attention mask, activations, logits."""
    width = _whole(header.get("embedding_length"))
    inner = max(_each(header.get("feed_forward_length"), 1), default=0)
    if engine == "embed":
        tokens = min(int(options["context_tokens"]), _whole(header.get("context_length")) or MAX_TOKENS)
        scores = _whole(header.get("attention.head_count")) * tokens * tokens * 4
        return scores + _activations(tokens, width, inner)
    context = _whole(header.get("context_length"))
    tokens = cache_tokens(options, context)
    slots = int(options.get("slots", SLOTS))
    step = min(512 + slots, tokens)
    seen = tokens if options.get("unified", False) else tokens // slots
    mask = step * seen * 6  # in F32, and in F16 for flash attention
    logits = (slots + 64) * header.vocabulary * 4 * 2
    return int(tokens * cache_bytes(header)) + mask + _activations(step, width, inner) + logits


def _activations(tokens: int, width: int, inner: int) -> int:
    return tokens * (4 * inner + 8 * width) * 4


def cache_tokens(options: Mapping[str, Any], train_context: int) -> int:
    """Return how many tokens a language model's KV cache holds, as ``edge.engines.llm.options`` decides."""
    context = min(int(options["context_tokens"]), train_context or MAX_TOKENS)
    if options.get("unified", False):
        return int(options.get("kv_tokens", 0) or 2 * context)
    return int(options.get("slots", SLOTS)) * context


def cache_bytes(header: GgufHeader) -> float:
    """Return the bytes of one token in the KV cache of all layers."""
    layers = _whole(header.get("block_count"))
    heads = header.get("attention.head_count")
    width = _whole(header.get("embedding_length")) // max(1, *_each(heads, 1))
    key = _whole(header.get("attention.key_length")) or width
    value = _whole(header.get("attention.value_length")) or width
    shared = header.get("attention.head_count_kv")
    one = key * (WIDE_KEY_BYTES if key % 32 else KEY_BYTES) + value * VALUE_BYTES
    return sum(_each(heads if shared is None else shared, layers)) * one


def _whole(value: Any) -> int:
    return value if isinstance(value, int) and value > 0 else 0


def _each(value: Any, layers: int) -> Sequence[int]:
    """Return *value* of every layer: a file gives one number for all, or a list."""
    values = value if isinstance(value, list) else [value] * min(layers, MAX_LAYERS)
    return [_whole(item) for item in values]
