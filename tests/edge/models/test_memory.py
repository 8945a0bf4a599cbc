import io
import os
import wave
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import anyio
import gguf
import psutil
import pytest

from edge.engines.llama import Model
from edge.engines.llm.options import LlmOptions
from edge.models import load_catalogue, paths
from edge.models.gguf_header import GgufError, read_header
from edge.models.memory import (
    KEY_BYTES,
    MIB,
    PROCESS_BYTES,
    SLOTS,
    VALUE_BYTES,
    WIDE_KEY_BYTES,
    SystemMemory,
    cache_bytes,
    cache_tokens,
    memory_needed,
)
from edge.models.served import ENGINES
from edge.workers.messages import Embed, Generate, Load, Request, Speak, Transcribe
from edge.workers.process import WorkerProcess
from tests.edge.models.test_gguf_header import write
from tests.models import pulled


def wav(seconds: int) -> bytes:
    """Return silence of 16 kHz."""
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setparams((1, 2, 16_000, 0, "NONE", ""))
        sound.writeframes(bytes(2 * 16_000 * seconds))
    return file.getvalue()


SMALL: dict[str, Any] = {"context_tokens": 8192, "threads": 2}


def system(tmp_path: Path, files: dict[str, str]) -> SystemMemory:
    for name, content in files.items():
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)
    return SystemMemory(tmp_path / "proc", tmp_path / "groups")


MEMINFO = {"proc/meminfo": "MemTotal: 4000 kB\nMemAvailable: 2000 kB\nBuffers: 1 kB\n"}


def test_the_machine_says_what_is_available(tmp_path: Path) -> None:
    assert system(tmp_path, MEMINFO).free_bytes([]) == 2000 * 1024


def test_weights_that_workers_have_mapped_are_not_free(tmp_path: Path) -> None:
    files = MEMINFO | {
        "proc/7/smaps_rollup": "0-1 ---p 00000000 00:00 0 [rollup]\nRss: 900 kB\nPss_File: 300 kB\n",
        "proc/8/smaps_rollup": "Pss_File: 200 kB\n",
    }
    assert system(tmp_path, files).free_bytes([7, 8, 9]) == 1500 * 1024


@pytest.mark.parametrize(
    ("groups", "free"),
    [
        ({}, 2_048_000),
        ({"a/b": ("max", "5")}, 2_048_000),
        ({"a/b": ("1000000", "400000")}, 600_000),
        ({"a": ("900000", "400000"), "a/b": ("1000000", "400000")}, 500_000),
        ({"": ("700000", "400000"), "a/b": ("max", "400000")}, 300_000),
        ({"a/b": ("1000", "400000")}, 0),
        ({"a/b": ("9000000", "1")}, 2_048_000),
    ],
)
def test_the_control_group_may_allow_less(
    tmp_path: Path, groups: dict[str, tuple[str, str]], free: int
) -> None:
    files = MEMINFO | {"proc/self/cgroup": "4:memory:/x\n0::/a/b\n", "groups/a/b/cgroup.procs": ""}
    for group, (limit, used) in groups.items():
        files |= {f"groups/{group}/memory.max": f"{limit}\n", f"groups/{group}/memory.current": f"{used}\n"}
    assert system(tmp_path, files).free_bytes([]) == free


def test_pages_that_give_way_count_as_free(tmp_path: Path) -> None:
    files = {
        "proc/self/cgroup": "0::/\n",
        "groups/memory.max": "1000000\n",
        "groups/memory.current": "900000\n",
        "groups/memory.stat": "anon 100000\nfile 800000\ninactive_file 700000\nactive_file 100000\n",
    }
    assert system(tmp_path, files).free_bytes([]) == 800_000


def test_where_nobody_tells_nobody_knows(tmp_path: Path) -> None:
    assert system(tmp_path, {}).free_bytes([1]) is None


def test_this_machine_tells() -> None:
    whole = SystemMemory().free_bytes([])
    assert whole is not None
    assert whole > 50 * MIB
    less = SystemMemory().free_bytes([os.getpid()])
    assert less is not None
    assert less < whole + 500 * MIB


def test_what_a_model_needs_grows_with_its_context(tmp_path: Path) -> None:
    files = {"model": pulled("smollm2-135m-instruct")[1]["model"]}
    need = memory_needed("llm", files, SMALL)
    assert need > PROCESS_BYTES + files["model"].stat().st_size
    half = memory_needed("llm", files, SMALL | {"context_tokens": 4096})
    per_token = 30 * 3 * 64 * (KEY_BYTES + VALUE_BYTES)  # layers, heads, their width
    assert need - half == pytest.approx(16 * 4096 * per_token, rel=0.05)
    assert memory_needed("llm", files, SMALL | {"slots": 4}) < half
    assert memory_needed("llm", files, SMALL | {"unified": True}) < half


def test_the_width_of_heads_and_their_number_may_differ_by_layer(tmp_path: Path) -> None:
    header = read_header(write(tmp_path / "m.gguf", heads=[3, 1]))
    metadata = dict(header.metadata) | {"llama.attention.key_length": 64, "llama.attention.value_length": 32}
    assert cache_bytes(type(header)(metadata, 0)) == (3 + 1) * (64 * KEY_BYTES + 32 * VALUE_BYTES)
    metadata["llama.attention.key_length"] = 80
    assert cache_bytes(type(header)(metadata, 0)) == (3 + 1) * (80 * WIDE_KEY_BYTES + 32 * VALUE_BYTES)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"slots": 4},
        {"slots": 4, "kv_tokens": 9},
        {"unified": True},
        {"unified": True, "kv_tokens": 5000},
    ],
)
@pytest.mark.parametrize("train_context", [2048, 8192, 100_000])
def test_the_cache_is_as_large_as_the_engine_makes_it(options: dict[str, Any], train_context: int) -> None:
    model = cast(
        "Model",
        SimpleNamespace(train_context=train_context, embedding_size=64, heads=2, metadata=lambda key: None),
    )
    made = LlmOptions.of(model, SMALL | options)
    assert cache_tokens(SMALL | options, train_context) == made.kv_tokens
    assert options.get("slots", SLOTS) == made.slots
    for kind, expected in ((made.params().type_k, KEY_BYTES), (made.params().type_v, VALUE_BYTES)):
        numbers, size = gguf.GGML_QUANT_SIZES[gguf.GGMLQuantizationType(kind)]
        assert size / numbers == expected


def test_every_model_of_the_catalogue_has_a_need(tmp_path: Path) -> None:
    for model in load_catalogue():
        if model.engine in {"llm", "embed"}:
            continue
        files = {}
        for role, path in paths(model, tmp_path).items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"x" * 1000)
            files[role] = path
        need = memory_needed(model.engine, files, dict(model.options))
        assert PROCESS_BYTES + 1000 * len(files) < need < PROCESS_BYTES + 5000 * len(files)


def test_a_damaged_file_of_any_role_is_found(tmp_path: Path) -> None:
    model = write(tmp_path / "model.gguf")
    projector = write(tmp_path / "projector.gguf")
    assert memory_needed("llm", {"model": model, "projector": projector}, SMALL) > PROCESS_BYTES
    projector.write_bytes(projector.read_bytes()[:-200])
    with pytest.raises(GgufError, match=r"projector\.gguf is damaged"):
        memory_needed("llm", {"model": model, "projector": projector}, SMALL)
    with pytest.raises(OSError, match="gone"):
        memory_needed("llm", {"model": tmp_path / "gone.gguf"}, SMALL)


REQUESTS: dict[str, Request] = {
    "smollm2-135m-instruct": Generate(prompt=[5] * 600, max_tokens=2),
    "all-minilm-l6-v2": Embed([[5] * 500] * 4),
    "kokoro-82m": Speak("Once upon a time there was a very long sentence that went on. " * 2, "af_bella"),
    "whisper-tiny.en": Transcribe(wav(seconds=20)),
}

REST_SECONDS = 2.0
"""What an engine may take to give back what it needed for a request."""


@pytest.mark.anyio
@pytest.mark.parametrize("model_id", REQUESTS)
async def test_the_estimate_is_near_what_the_model_takes(model_id: str) -> None:
    model, files = pulled(model_id)
    options = dict(model.options) | {"context_tokens": model.context_tokens, "threads": 2}
    order = Load(ENGINES[model.engine], {role: str(path) for role, path in files.items()}, options)
    process = await WorkerProcess.start(order, start_seconds=60)
    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(process.serve)
            async for _ in await process.submit([REQUESTS[model_id]]):
                pass
            await anyio.sleep(REST_SECONDS)
            taken = psutil.Process(process.pid).memory_full_info().pss
            tasks.cancel_scope.cancel()
    finally:
        await process.stop()
    need = memory_needed(model.engine, files, options)
    assert taken * 0.95 < need < taken * 2.5, f"{need / MIB:.0f} MiB for {taken / MIB:.0f}"
