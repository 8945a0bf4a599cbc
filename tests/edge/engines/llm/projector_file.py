"""A projector for SmolLM2 that is small enough to be made in a moment. Its weights are random: it sees
different images differently, and understands none."""

from pathlib import Path

import gguf
import numpy as np

IMAGE = 56
PATCH = 14
TOKENS = (IMAGE // PATCH) ** 2
WIDTH = 32
HIDDEN = 64
HEADS = 4
BLOCKS = 2


def write_projector(
    path: Path, *, embedding_size: int, kind: str = "mlp", vision: bool = True, tiles: bool = False
) -> Path:
    """Write a projector whose embeddings have *embedding_size* numbers to *path*.

    *kind* is mlp (LLaVA), gemma3 or idefics3. With *tiles* it cuts an image into up to four beside the whole.
    """
    rng = np.random.default_rng(5)

    def weights(*shape: int, scale: float) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
        return (rng.standard_normal(shape) * scale).astype(np.float32)

    writer = gguf.GGUFWriter(path, "clip")
    writer.add_bool("clip.has_vision_encoder", vision)
    writer.add_bool("clip.use_gelu", True)
    writer.add_string("clip.projector_type", kind)
    for key, value in {
        "image_size": IMAGE,
        "patch_size": PATCH,
        "embedding_length": WIDTH,
        "feed_forward_length": HIDDEN,
        "block_count": BLOCKS,
        "projection_dim": embedding_size,
        "attention.head_count": HEADS,
    }.items():
        writer.add_uint32(f"clip.vision.{key}", value)
    writer.add_float32("clip.vision.attention.layer_norm_epsilon", 1e-5)
    writer.add_array("clip.vision.image_mean", [0.5, 0.5, 0.5])
    writer.add_array("clip.vision.image_std", [0.5, 0.5, 0.5])
    writer.add_tensor("v.patch_embd.weight", weights(WIDTH, 3, PATCH, PATCH, scale=0.05))
    writer.add_tensor("v.position_embd.weight", weights(TOKENS, WIDTH, scale=0.2))
    for block in range(BLOCKS):
        name = f"v.blk.{block}"
        for part in ("attn_q", "attn_k", "attn_v", "attn_out"):
            writer.add_tensor(f"{name}.{part}.weight", weights(WIDTH, WIDTH, scale=0.2))
        for part in ("ln1", "ln2"):
            writer.add_tensor(f"{name}.{part}.weight", np.ones(WIDTH, np.float32))
            writer.add_tensor(f"{name}.{part}.bias", np.zeros(WIDTH, np.float32))
        writer.add_tensor(f"{name}.ffn_up.weight", weights(HIDDEN, WIDTH, scale=0.2))
        writer.add_tensor(f"{name}.ffn_down.weight", weights(WIDTH, HIDDEN, scale=0.2))
    writer.add_tensor("mm.0.weight", weights(HIDDEN, WIDTH, scale=0.2))
    writer.add_tensor("mm.0.bias", np.zeros(HIDDEN, np.float32))
    writer.add_tensor("mm.2.weight", weights(embedding_size, HIDDEN, scale=0.05))
    writer.add_tensor("mm.2.bias", np.zeros(embedding_size, np.float32))
    if kind == "gemma3":
        writer.add_tensor("mm.input_projection.weight", weights(WIDTH, embedding_size, scale=0.1))
        writer.add_tensor("mm.soft_emb_norm.weight", np.ones(WIDTH, np.float32))
    if kind == "idefics3":
        writer.add_uint32("clip.vision.projector.scale_factor", 2)
        writer.add_tensor("mm.model.fc.weight", weights(embedding_size, 4 * WIDTH, scale=0.1))
    if tiles:
        writer.add_array("clip.vision.image_grid_pinpoints", [IMAGE, 2 * IMAGE, 2 * IMAGE, 2 * IMAGE])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path
