from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import gguf
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.engines.llama import Batch, Context, LlamaError, Model
from edge.engines.llm.options import (
    KV_TYPES,
    MAX_SEQUENCES,
    OUTPUT_ROWS,
    WIDE_KV_TYPES,
    LlmOptions,
    key_sizes,
)
from tests.models import pulled

GIVEN = {"context_tokens": 4096, "threads": 2}


def model(*, train_context: int = 2048, embedding_size: int = 576, heads: int = 9, **attention: int) -> Model:
    """A model as far as its options depend on it; *attention* is its file's metadata of that section."""
    metadata = {f"llama.attention.{key}": str(value) for key, value in attention.items()}
    metadata["general.architecture"] = "llama"
    return cast(
        "Model",
        SimpleNamespace(
            train_context=train_context, embedding_size=embedding_size, heads=heads, metadata=metadata.get
        ),
    )


def test_every_sequence_has_a_cache_of_its_own_by_default() -> None:
    options = LlmOptions.of(model(), GIVEN)
    assert options == LlmOptions(
        context_tokens=2048,
        kv_tokens=16 * 2048,
        slots=16,
        threads=2,
        unified=False,
        step_seconds=0.2,
        kv_types=KV_TYPES,
    )
    assert options.sequences == 16
    assert options.outputs == 16 + OUTPUT_ROWS
    assert options.prefix_tokens == options.kv_tokens


def test_kv_tokens_are_those_of_a_unified_cache() -> None:
    options = LlmOptions.of(model(), GIVEN | {"unified": True, "slots": 4, "kv_tokens": 3000})
    assert (options.context_tokens, options.kv_tokens, options.slots) == (2048, 3000, 4)
    assert (options.sequences, options.prefix_tokens) == (8, 1500)
    assert LlmOptions.of(model(), GIVEN | {"unified": True}).kv_tokens == 2 * 2048
    assert LlmOptions.of(model(), GIVEN | {"unified": True, "kv_tokens": 500}).context_tokens == 500
    assert LlmOptions.of(model(), GIVEN | {"slots": 4, "kv_tokens": 3000}).kv_tokens == 4 * 2048


def test_a_step_may_be_told_to_be_shorter() -> None:
    assert LlmOptions.of(model(), GIVEN | {"step_ms": 50}).step_seconds == 0.05


@given(
    st.integers(1, 5000),
    st.integers(1, 5000),
    st.integers(1, MAX_SEQUENCES),
    st.booleans(),
    st.integers(0, 9000),
)
def test_a_sequence_fits_into_the_cache_and_every_slot_has_an_id(
    context: int, train_context: int, slots: int, unified: bool, kv_tokens: int
) -> None:
    options = LlmOptions.of(
        model(train_context=train_context),
        {
            "context_tokens": context,
            "threads": 1,
            "slots": slots,
            "unified": unified,
            "kv_tokens": kv_tokens,
        },
    )
    assert 1 <= options.context_tokens <= min(context, train_context)
    assert options.context_tokens <= options.kv_tokens
    assert options.slots <= options.sequences <= MAX_SEQUENCES
    params = options.params()
    assert params.n_seq_max == options.sequences
    assert params.n_ctx == options.kv_tokens
    assert params.n_outputs_max >= options.slots
    assert params.n_batch == params.n_ubatch == 512 + slots
    assert params.kv_unified == unified


@pytest.mark.parametrize("slots", [0, -1, MAX_SEQUENCES + 1])
def test_slots_that_llama_cpp_does_not_have_are_refused(slots: int) -> None:
    with pytest.raises(ValueError, match=f"slots must be from 1 to 256, not {slots}"):
        LlmOptions.of(model(), GIVEN | {"slots": slots})


@pytest.mark.parametrize(
    ("fields", "sizes"),
    [
        ({}, [64]),
        ({"embedding_size": 96, "heads": 2}, [48]),
        ({"heads": 0}, [0]),  # a recurrent model
        ({"key_length": 128}, [128]),
        ({"key_length": 192, "value_length": 40}, [192]),
        ({"key_length": 256, "key_length_swa": 80}, [256, 80]),
    ],
)
def test_the_cache_is_wider_where_a_head_is_no_multiple_of_its_blocks(
    fields: dict[str, int], sizes: list[int]
) -> None:
    made = model(**fields)
    assert key_sizes(made) == sizes
    options = LlmOptions.of(made, GIVEN)
    narrow = all(size % 32 == 0 for size in sizes)
    assert options.kv_types == (KV_TYPES if narrow else WIDE_KV_TYPES)
    params = options.params()
    assert (params.type_k, params.type_v) == options.kv_types
    # Of one type, they would be attended to in ways that depend on the batch.
    assert params.type_k != params.type_v


# With llama.cpp


def write_model(path: Path, *, heads: int, head_size: int | None = None) -> Path:
    """Write a llama of one layer with random weights and no words to *path*."""
    writer = gguf.GGUFWriter(path, "llama")
    vocabulary, inner, width = 32, 32, 96
    writer.add_block_count(1)
    writer.add_context_length(256)
    writer.add_embedding_length(width)
    writer.add_feed_forward_length(inner)
    writer.add_head_count(heads)
    writer.add_head_count_kv(heads)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(vocabulary)
    writer.add_tokenizer_model("none")
    if head_size is not None:
        writer.add_key_length(head_size)
        writer.add_value_length(head_size)
    each = head_size or width // heads
    writer.add_rope_dimension_count(each)
    random = np.random.default_rng(3)
    shapes = {
        "token_embd": (vocabulary, width),
        "blk.0.attn_q": (heads * each, width),
        "blk.0.attn_k": (heads * each, width),
        "blk.0.attn_v": (heads * each, width),
        "blk.0.attn_output": (width, heads * each),
        "blk.0.ffn_gate": (inner, width),
        "blk.0.ffn_up": (inner, width),
        "blk.0.ffn_down": (width, inner),
    }
    for name, shape in shapes.items():
        writer.add_tensor(f"{name}.weight", random.normal(0, 0.1, shape).astype(np.float32))
    for name in ("output_norm", "blk.0.attn_norm", "blk.0.ffn_norm"):
        writer.add_tensor(f"{name}.weight", np.ones(width, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@pytest.mark.parametrize(
    "shape", [{"heads": 2}, {"heads": 3, "head_size": 40}, {"heads": 3, "head_size": 100}]
)
def test_llama_cpp_makes_no_narrow_cache_for_such_heads_and_runs_the_wide_one(
    tmp_path: Path, shape: dict[str, Any]
) -> None:
    made = Model(write_model(tmp_path / "m.gguf", **shape))
    options = LlmOptions.of(made, {"context_tokens": 64, "threads": 1, "slots": 2})
    params = options.params()
    params.type_k, params.type_v = KV_TYPES
    with pytest.raises(LlamaError, match="cannot be made"):
        Context(made, params)
    context = Context(made, options.params())
    batch = Batch(8)
    batch.add([1, 2, 3], position=0, sequence=0, output="last")
    context.decode(batch.native)
    assert np.isfinite(context.logits(1)).all()
    context.close()


def test_llama_cpp_makes_a_narrow_cache_for_usual_heads(tmp_path: Path) -> None:
    for path in (
        write_model(tmp_path / "m.gguf", heads=3),
        pulled("smollm2-135m-instruct")[1]["model"],
    ):
        made = Model(path)
        options = LlmOptions.of(made, {"context_tokens": 64, "threads": 1, "slots": 2})
        assert options.kv_types == KV_TYPES
        context = Context(made, options.params())
        assert context.sequence_tokens >= options.context_tokens
        context.close()


@pytest.mark.parametrize("unified", [False, True])
def test_llama_cpp_has_as_many_sequences_as_slots_are_allowed(tmp_path: Path, unified: bool) -> None:
    made = Model(write_model(tmp_path / "m.gguf", heads=3))
    given = {"context_tokens": 16, "threads": 1, "slots": MAX_SEQUENCES, "unified": unified}
    options = LlmOptions.of(made, given)
    Context(made, options.params()).close()
    params = options.params()
    params.n_seq_max = MAX_SEQUENCES + 1
    with pytest.raises(LlamaError, match="cannot be made"):
        Context(made, params)
