import platform
from pathlib import Path

import pytest

from edge.engines.llama import Context, Model
from edge.engines.repack import steadiness
from edge.engines.repack.layouts import write
from edge.engines.repack.steadiness import Logits, wobble


@pytest.mark.skipif(platform.machine() != "x86_64", reason="elsewhere Q8_0 is repacked")
def test_eight_bits_do_not_move(file: Path, tmp_path: Path) -> None:
    target = tmp_path / "out.gguf"
    write(file, target, "Q8_0", threads=1)
    assert wobble(Model(target), threads=1) == 0


def test_the_largest_move_counts(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    compute = steadiness._logits

    def moved(context: Context, prompt: int, sequences: int) -> Logits:
        seen.append((prompt, sequences))
        logits = compute(context, prompt, sequences)
        assert logits.shape == (steadiness.STEPS + 1, model.vocab_size)
        alone = compute(context, prompt, 1)
        alone[-1, 7] += {5: 0.25, 8: -0.75}.get(sequences, 0.0)
        return alone

    monkeypatch.setattr(steadiness, "_logits", moved)
    assert wobble(model, threads=1) == pytest.approx(0.75, abs=1e-5)
    assert seen == [(prompt, crowd) for prompt in steadiness.PROMPTS for crowd in (1, *steadiness.CROWDS)]
