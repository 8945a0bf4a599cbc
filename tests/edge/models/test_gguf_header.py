import contextlib
import random
import struct
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge.models import gguf_header
from edge.models.gguf_header import GgufError, Length, read_header
from tests.models import pulled


def write(path: Path, *, heads: int | list[int] = 3, tokens: int = 5, alignment: int = 32) -> Path:
    """Write a small file as ggml's own library does."""
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_custom_alignment(alignment)
    writer.add_block_count(2)
    writer.add_head_count(9)
    writer.add_head_count_kv(heads)
    writer.add_bool("llama.flag", True)
    writer.add_float32("llama.small", 0.5)
    writer.add_string("general.name", "é")
    writer.add_token_list([f"token{number}" for number in range(tokens)])
    writer.add_tensor("a.weight", np.zeros((4, 32), np.float32))
    writer.add_tensor("b.weight", np.zeros((3, 5), np.float16))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return write(tmp_path_factory.mktemp("gguf") / "m.gguf").read_bytes()


def test_a_header_says_what_was_written(tmp_path: Path) -> None:
    header = read_header(write(tmp_path / "m.gguf", heads=[3, 1]))
    assert header.architecture == "llama"
    assert header.get("block_count") == 2
    assert header.get("attention.head_count_kv") == [3, 1]
    assert header.get("nothing") is None
    assert header.metadata["llama.flag"] is True
    assert header.metadata["llama.small"] == 0.5
    assert header.metadata["general.name"] == "é"
    assert header.vocabulary == 5
    assert header.tensor_bytes == 4 * 32 * 4 + 3 * 5 * 2


def test_a_long_vocabulary_is_counted_and_not_kept(tmp_path: Path) -> None:
    header = read_header(write(tmp_path / "m.gguf", tokens=gguf_header.MAX_KEPT_ELEMENTS + 1))
    assert header.metadata["tokenizer.ggml.tokens"] == Length(header.vocabulary)
    assert header.vocabulary == gguf_header.MAX_KEPT_ELEMENTS + 1


@pytest.mark.parametrize("model", ["smollm2-135m-instruct", "all-minilm-l6-v2"])
def test_the_models_of_the_catalogue_are_sound(model: str) -> None:
    path = pulled(model)[1]["model"]
    header = read_header(path)
    assert 0 < path.stat().st_size - header.tensor_bytes < 3_000_000
    reader = gguf.GGUFReader(path)
    assert header.tensor_bytes == sum(int(tensor.n_bytes) for tensor in reader.tensors)
    assert set(header.metadata) == {key for key in reader.fields if not key.startswith("GGUF.")}


def test_every_cut_is_noticed(sound: bytes, tmp_path: Path) -> None:
    path = tmp_path / "m.gguf"
    padding = 2  # the last tensor is 30 bytes long and padded to 32
    for length in range(0, len(sound) - padding, 7):
        path.write_bytes(sound[:length])
        with pytest.raises(GgufError, match=r"m\.gguf is damaged"):
            read_header(path)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=300)
@given(seed=st.integers(0, 2**32), count=st.integers(1, 8))
def test_whatever_is_wrong_it_is_one_error(sound: bytes, tmp_path: Path, seed: int, count: int) -> None:
    chance = random.Random(seed)
    data = bytearray(sound)
    for _ in range(count):
        where = chance.randrange(600)
        if chance.random() < 0.3:
            data[where : where + 8] = struct.pack("<Q", chance.choice([2**64 - 1, 2**63, 2**32, 2**20]))
        else:
            data[where] = chance.randrange(256)
    path = tmp_path / "m.gguf"
    path.write_bytes(data)
    with contextlib.suppress(GgufError):
        assert read_header(path).tensor_bytes <= len(data)


def crafted(*parts: Any, tensors: int = 0, keys: int = 1, version: int = 3) -> bytes:
    """Return a header of one key, or of what *parts* (numbers as u32, bytes as a string) spell."""
    body = struct.pack("<4sIQQ", b"GGUF", version, tensors, keys)
    for part in parts:
        body += struct.pack("<Q", len(part)) + part if isinstance(part, bytes) else struct.pack("<I", part)
    return body


NAME = (b"general.architecture", 8, b"llama")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "does not begin"),
        (b"PK\x03\x04" * 100, "does not begin"),
        (crafted(*NAME, version=1), "version is 1"),
        (crafted(*NAME, tensors=2**40), "tensors"),
        (crafted(*NAME, keys=2**40), "metadata keys"),
        (crafted(b"other", 8, b"llama"), "architecture"),
        (crafted(b"general.architecture", 4, 7), "architecture"),
        (crafted(*NAME, *NAME, keys=2), "twice"),
        (crafted(*NAME, b"x", 99, keys=2), "unknown type 99"),
        (crafted(*NAME, b"x", 9, 9, 1, 0, keys=2), "unknown type 9"),
        (crafted(*NAME, b"x", 9, 8, 0, 1, keys=2), "elements"),
        (crafted(*NAME, b"x", 9, 4, 0, 1, keys=2), "within its header"),
        (crafted(*NAME, b"general.alignment", 4, 3, keys=2), "alignment"),
        (crafted(*NAME, b"general.alignment", 4, 0, keys=2), "alignment"),
        (crafted(*NAME, b"t", 5, tensors=1), "5 dimensions"),
        (crafted(*NAME, b"t" * 100, 1, tensors=1), "100 bytes"),
        (crafted(*NAME, b"t", 1, 32, 0, 999, 0, 0, tensors=1), "unknown type 999"),
        (crafted(*NAME, b"t", 1, 0, 0, 0, 0, 0, tensors=1), "impossible shape"),
        (crafted(*NAME, b"t", 2, 0, 2**31, 0, 2**31, 0, 0, 0, tensors=1), "impossible shape"),
        (crafted(*NAME, b"t", 1, 31, 0, 2, 0, 0, tensors=1), "multiple of 32"),
        (crafted(*NAME, b"t", 1, 32, 0, 0, 64, 0, tensors=1), "is at 64, not at 0"),
        (crafted(*NAME, b"t", 1, 32, 0, 0, 0, 0, tensors=1), "within tensor 't'"),
        (crafted(*NAME, *(b"t", 1, 8, 0, 0, 0, 0) * 2, tensors=2) + b"\0" * 200, "tensor 't' is there twice"),
    ],
)
def test_each_lie_has_its_words(content: bytes, says: str, tmp_path: Path) -> None:
    path = tmp_path / "m.gguf"
    path.write_bytes(content)
    with pytest.raises(GgufError, match=says):
        read_header(path)


def test_a_header_without_end_is_not_read_to_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gguf_header, "MAX_HEADER_BYTES", 1000)
    path = tmp_path / "m.gguf"
    path.write_bytes(crafted(*NAME, b"x", 9, 0, 5000, 0, keys=2) + b"\0" * 9000)
    with pytest.raises(GgufError, match="larger than 1000 bytes"):
        read_header(path)
