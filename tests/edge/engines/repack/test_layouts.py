from pathlib import Path

import gguf
import pytest

from edge.engines.llama import LlamaError
from edge.engines.repack.layouts import write


@pytest.mark.parametrize("layout", ["Q4_0", "Q8_0"])
def test_every_matrix_but_embeddings_is_written_in_it(file: Path, tmp_path: Path, layout: str) -> None:
    target = tmp_path / "out.gguf"
    write(file, target, layout, threads=1)
    types = {tensor.name: tensor.tensor_type.name for tensor in gguf.GGUFReader(target).tensors}
    assert types.pop("token_embd.weight") == "Q8_0"
    assert {kind for name, kind in types.items() if "norm" in name} == {"F32"}
    assert {kind for name, kind in types.items() if "norm" not in name} == {layout}


def test_the_metadata_stays(file: Path, tmp_path: Path) -> None:
    target = tmp_path / "out.gguf"
    write(file, target, "Q8_0", threads=1)
    before, after = gguf.GGUFReader(file), gguf.GGUFReader(target)
    for key, field in before.fields.items():
        if not key.startswith("GGUF.") and key != "general.file_type":
            assert after.fields[key].contents() == field.contents()


def test_what_is_no_model_is_an_error(tmp_path: Path) -> None:
    source = tmp_path / "no.gguf"
    source.write_bytes(b"GGUF" + bytes(100))
    with pytest.raises(LlamaError, match=r"no\.gguf cannot be written"):
        write(source, tmp_path / "out.gguf", "Q8_0", threads=1)
