from collections import Counter
from pathlib import Path

import gguf
import pytest

from edge.engines.llama import LlamaError
from edge.engines.repack.layouts import LAYOUTS, write
from tests.edge.tiny_llama import BLOCKS


@pytest.mark.parametrize(
    ("layout", "down", "others"),
    [("Q4_0", "Q4_0", "Q4_0"), ("Q8_0", "Q8_0", "Q8_0"), ("Q8_0+Q4_K", "Q4_K", "Q8_0")],
)
def test_every_matrix_is_written_in_its_type(
    file: Path, tmp_path: Path, layout: str, down: str, others: str
) -> None:
    target = tmp_path / "out.gguf"
    write(file, target, LAYOUTS[layout], threads=1)
    types = {tensor.name: tensor.tensor_type.name for tensor in gguf.GGUFReader(target).tensors}
    assert types.pop("token_embd.weight") == "Q8_0"
    assert Counter(types.pop(f"blk.{block}.ffn_down.weight") for block in range(BLOCKS)) == {down: BLOCKS}
    assert {kind for name, kind in types.items() if "norm" in name} == {"F32"}
    assert {kind for name, kind in types.items() if "norm" not in name} == {others}


def test_the_metadata_stays(file: Path, tmp_path: Path) -> None:
    target = tmp_path / "out.gguf"
    write(file, target, LAYOUTS["Q8_0"], threads=1)
    before, after = gguf.GGUFReader(file), gguf.GGUFReader(target)
    for key, field in before.fields.items():
        if not key.startswith("GGUF.") and key != "general.file_type":
            assert after.fields[key].contents() == field.contents()


def test_what_is_no_model_is_an_error(tmp_path: Path) -> None:
    source = tmp_path / "no.gguf"
    source.write_bytes(b"GGUF" + bytes(100))
    with pytest.raises(LlamaError, match=r"no\.gguf cannot be written"):
        write(source, tmp_path / "out.gguf", LAYOUTS["Q8_0"], threads=1)
