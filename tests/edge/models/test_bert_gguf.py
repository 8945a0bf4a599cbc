"""The converted MiniLM against the float32 checkpoint, computed here in numpy."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gguf
import llama_cpp
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from tokenizers.implementations.bert_wordpiece import BertWordPieceTokenizer

from edge.models import load_catalogue
from edge.models.bert_gguf import convert
from shared.artifacts import Silent, workspace

Array = np.ndarray[Any, np.dtype[np.float32]]

TEXTS = [
    "A quick brown fox jumps over the lazy dog.",
    "The edge nearest to Toronto answers first.",
    "naïve café — 東京 タワー emoji 🙂!",
    "def f(x): return x**2  # code",
    "antidisestablishmentarianism unbelievability " * 8,
    "x",
    "1234.56 $ and 78% of 9,000",
    "Ce modèle parle anglais.",
]


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    model = load_catalogue().resolve("all-minilm-l6-v2")
    assert model is not None
    directory = tmp_path_factory.mktemp("minilm")
    with workspace(directory, Silent()) as work:
        for name, item in model.derived["model"].inputs.items():
            work.place(work.stage(item), name)
    return {name: directory / name for name in model.derived["model"].inputs}


@pytest.fixture(scope="module")
def converted(inputs: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("gguf") / "model.gguf"
    convert(inputs, output)
    return output


@pytest.fixture(scope="module")
def llama(converted: Path) -> Iterator[llama_cpp.Llama]:
    pooling = llama_cpp.LLAMA_POOLING_TYPE_MEAN
    model = llama_cpp.Llama(str(converted), embedding=True, n_ctx=512, verbose=False, pooling_type=pooling)
    yield model
    model.close()


@pytest.fixture(scope="module")
def tokenizer(inputs: dict[str, Path]) -> BertWordPieceTokenizer:
    return BertWordPieceTokenizer(str(inputs["vocabulary"]), lowercase=True)


def reference(weights: dict[str, Array], ids: list[int]) -> Array:
    """Return the sentence vector of BERT (Devlin et al., 2018) with mean pooling, of unit length."""

    def dense(x: Array, name: str) -> Array:
        return x @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]

    def norm(x: Array, name: str) -> Array:
        centred = x - x.mean(-1, keepdims=True)
        scaled: Array = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-12)
        return scaled * weights[f"{name}.weight"] + weights[f"{name}.bias"]

    heads, width = 12, 32
    embedded = weights["embeddings.word_embeddings.weight"][ids]
    embedded = embedded + weights["embeddings.position_embeddings.weight"][: len(ids)]
    x = norm(embedded + weights["embeddings.token_type_embeddings.weight"][0], "embeddings.LayerNorm")
    for layer in range(6):
        at = f"encoder.layer.{layer}"
        query, key, value = (
            dense(x, f"{at}.attention.self.{part}").reshape(-1, heads, width).transpose(1, 0, 2)
            for part in ("query", "key", "value")
        )
        scores = query @ key.transpose(0, 2, 1) / math.sqrt(width)
        shares = np.exp(scores - scores.max(-1, keepdims=True))
        mixed = (shares / shares.sum(-1, keepdims=True) @ value).transpose(1, 0, 2).reshape(len(ids), -1)
        x = norm(x + dense(mixed, f"{at}.attention.output.dense"), f"{at}.attention.output.LayerNorm")
        inner = dense(x, f"{at}.intermediate.dense")
        inner = inner * 0.5 * (1 + np.vectorize(math.erf)(inner / math.sqrt(2)))
        x = norm(x + dense(inner, f"{at}.output.dense"), f"{at}.output.LayerNorm")
    pooled: Array = x.mean(0)
    return pooled / np.linalg.norm(pooled)


@pytest.mark.timeout(600)
def test_vectors_are_those_of_the_checkpoint(
    inputs: dict[str, Path], llama: llama_cpp.Llama, tokenizer: BertWordPieceTokenizer
) -> None:
    weights = load_file(inputs["weights"])
    for text in TEXTS:
        vector = np.array(llama.embed(text), dtype=np.float32)
        cosine = float(vector @ reference(weights, tokenizer.encode(text).ids)) / np.linalg.norm(vector)
        assert cosine >= 0.9999, text


def test_tokens_are_those_of_the_checkpoint(
    llama: llama_cpp.Llama, tokenizer: BertWordPieceTokenizer
) -> None:
    for text in TEXTS:
        assert llama.tokenize(text.encode(), add_bos=True, special=False) == tokenizer.encode(text).ids, text


def test_the_same_checkpoint_gives_the_same_file(
    inputs: dict[str, Path], converted: Path, tmp_path: Path
) -> None:
    convert(inputs, tmp_path / "again.gguf")
    assert (tmp_path / "again.gguf").read_bytes() == converted.read_bytes()


def test_the_file_says_how_it_is_to_be_used(converted: Path) -> None:
    reader = gguf.GGUFReader(converted)
    fields = {name: field.contents() for name, field in reader.fields.items() if field.types}
    assert fields["general.architecture"] == "bert"
    assert fields["bert.pooling_type"] == gguf.PoolingType.MEAN
    assert fields["bert.attention.causal"] is False
    assert fields["bert.context_length"] == 512
    assert len(fields["tokenizer.ggml.tokens"]) == 30522
    assert fields["tokenizer.ggml.tokens"][fields["tokenizer.ggml.unknown_token_id"]] == "[UNK]"
    model = load_catalogue().resolve("all-minilm-l6-v2")
    assert model is not None
    assert sum(int(tensor.n_elements) for tensor in reader.tensors) == model.parameters


def test_a_checkpoint_of_another_kind_is_refused(inputs: dict[str, Path], tmp_path: Path) -> None:
    save_file({"decoder.weight": np.zeros((2, 2), np.float32)}, tmp_path / "weights")
    with pytest.raises(ValueError, match=r"decoder\.weight, which is no tensor of a BERT encoder"):
        convert(inputs | {"weights": tmp_path / "weights"}, tmp_path / "model.gguf")
