"""A llama with random weights that speaks bytes: small enough to be made, converted and run in a moment."""

from pathlib import Path

import gguf
import numpy as np

WIDTH = 64
INNER = 256
HEADS = 2
BLOCKS = 2


def write_llama(path: Path, *, seed: int = 7) -> Path:
    """Write it in 16 bits."""
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_F16)
    writer.add_block_count(BLOCKS)
    writer.add_context_length(2048)
    writer.add_embedding_length(WIDTH)
    writer.add_feed_forward_length(INNER)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(WIDTH // HEADS)
    tokens = ["<end>", *_byte_letters()]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens)
    writer.add_token_types([gguf.TokenType.CONTROL, *[gguf.TokenType.NORMAL] * 256])
    writer.add_token_merges(["\u0100 \u0101"])  # llama.cpp wants one; bytes 0 and 1 are in no text
    writer.add_eos_token_id(0)
    writer.add_bos_token_id(0)
    random = np.random.default_rng(seed)

    def matrix(name: str, rows: int, columns: int) -> None:
        weights = random.normal(0, columns**-0.5, (rows, columns))
        writer.add_tensor(f"{name}.weight", weights.astype(np.float16))

    def norm(name: str) -> None:
        writer.add_tensor(f"{name}.weight", np.ones(WIDTH, np.float32))

    matrix("token_embd", len(tokens), WIDTH)
    norm("output_norm")
    for block in range(BLOCKS):
        for part in ("attn_q", "attn_k", "attn_v", "attn_output"):
            matrix(f"blk.{block}.{part}", WIDTH, WIDTH)
        matrix(f"blk.{block}.ffn_gate", INNER, WIDTH)
        matrix(f"blk.{block}.ffn_up", INNER, WIDTH)
        matrix(f"blk.{block}.ffn_down", WIDTH, INNER)
        norm(f"blk.{block}.attn_norm")
        norm(f"blk.{block}.ffn_norm")
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _byte_letters() -> list[str]:
    """GPT-2's letter for each byte: itself if it can be printed, else one from U+0100 on."""
    printed = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = iter(range(0x100, 0x200))
    return [chr(byte if byte in printed else next(others)) for byte in range(256)]
