import ctypes
import gc
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import llama_cpp as c
import numpy as np
import pytest
from llama_cpp import mtmd_cpp as mtmd
from numpy.typing import NDArray

from edge.engines.base import InvalidRequest
from edge.engines.llama import Batch, Context, LlamaError, Model
from edge.engines.llm.vision import ImageChunk, Projector, TextChunk
from tests.edge.engines.llm.pictures import corners, image_file, noise
from tests.edge.engines.llm.projector_file import TOKENS, write_projector
from tests.models import pulled

CONTEXT = 512


@pytest.fixture(scope="module")
def model() -> Model:
    return Model(pulled("smollm2-135m-instruct")[1]["model"])


@pytest.fixture(scope="module")
def projector(model: Model, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Projector]:
    path = tmp_path_factory.mktemp("projector") / "mmproj.gguf"
    projector = Projector(model, write_projector(path, embedding_size=model.embedding_size), threads=1)
    yield projector
    projector.close()


@pytest.fixture
def tiling(model: Model, tmp_path: Path) -> Projector:
    path = write_projector(tmp_path / "tiles.gguf", embedding_size=model.embedding_size, tiles=True)
    return Projector(model, path, threads=1)


@pytest.fixture(scope="module")
def context(model: Model) -> Context:
    params = c.llama_context_default_params()
    params.n_ctx = params.n_batch = CONTEXT
    params.n_threads = params.n_threads_batch = 1
    return Context(model, params)


def kinds(chunks: Sequence[TextChunk | ImageChunk]) -> str:
    return "".join("t" if isinstance(chunk, TextChunk) else "i" for chunk in chunks)


def only_image(chunks: Sequence[TextChunk | ImageChunk]) -> ImageChunk:
    (image,) = [chunk for chunk in chunks if isinstance(chunk, ImageChunk)]
    return image


def decode_rows(context: Context, rows: NDArray[np.float32], position: int) -> None:
    """Have *rows* stand where tokens from *position* on would."""
    batch = c.llama_batch_init(len(rows), rows.shape[1], 1)
    try:
        batch.n_tokens = len(rows)
        ctypes.memmove(batch.embd, rows.ctypes.data, rows.nbytes)
        for index in range(len(rows)):
            batch.pos[index] = position + index
            batch.n_seq_id[index] = 1
            batch.seq_id[index][0] = 0
            batch.logits[index] = False
        context.decode(batch)
    finally:
        c.llama_batch_free(batch)


def say(context: Context, projector: Projector, prompt: str, images: list[bytes]) -> list[int]:
    """Return the eight likeliest tokens after *prompt*."""
    context.clear()
    batch = Batch(CONTEXT)
    position = 0

    def step(tokens: list[int]) -> int:
        batch.clear()
        batch.add(tokens, position=position, sequence=0, output="last")
        context.decode(batch.native)
        return int(context.logits(1)[0].argmax())

    token = -1
    for chunk in projector.split(prompt, images, add_special=True):
        if isinstance(chunk, TextChunk):
            token = step(chunk.tokens)
            position += len(chunk.tokens)
        else:
            decode_rows(context, projector.encode(chunk), position)
            position += chunk.n_tokens
    said = [token]
    while len(said) < 8:
        said.append(step([said[-1]]))
        position += 1
    return said


def test_an_image_stands_between_the_words_around_it(model: Model, projector: Projector) -> None:
    file = image_file(corners())
    chunks = projector.split(f"<|im_start|>user\nSee {projector.marker} here", [file], add_special=True)
    before, image, after = chunks
    assert isinstance(before, TextChunk)
    assert isinstance(after, TextChunk)
    assert isinstance(image, ImageChunk)
    assert before.tokens == model.tokenize("<|im_start|>user\nSee ", add_special=True, parse_special=True)
    assert after.tokens == model.tokenize(" here", add_special=False, parse_special=True)
    assert image.n_tokens == TOKENS
    rows = projector.encode(image)
    assert rows.shape == (TOKENS, model.embedding_size)
    assert rows.dtype == np.float32
    assert np.isfinite(rows).all()
    assert rows.std() > 0.01


def test_a_prompt_without_an_image_is_its_tokens(model: Model, projector: Projector) -> None:
    text = "<|im_start|>user\nHello \0 wörld \ud800<|im_end|>\n"
    assert projector.split(text, [], add_special=True) == [
        TextChunk(model.tokenize(text, add_special=True, parse_special=True))
    ]
    assert projector.split("", [], add_special=True) == []


def test_equal_images_have_equal_digests_and_embeddings_wherever_they_stand(projector: Projector) -> None:
    one, other = image_file(corners()), image_file(noise(30, 30))
    mark = projector.marker
    chunks = projector.split(f"{mark}a{mark}{mark}b", [one, other, one], add_special=True)
    assert kinds(chunks) == "itiit"
    images = [chunk for chunk in chunks if isinstance(chunk, ImageChunk)]
    assert images[0].digest == images[2].digest != images[1].digest
    assert len(images[0].digest) == 32
    rows = [projector.encode(image) for image in images]
    assert np.array_equal(rows[0], rows[2])
    assert np.abs(rows[0] - rows[1]).max() > 0.01


def test_tiles_of_an_image_are_told_apart(tiling: Projector) -> None:
    file = image_file(noise(200, 300))
    chunks = tiling.split(f"a{tiling.marker}b{tiling.marker}", [file, file], add_special=True)
    assert kinds(chunks) == "tiiiiitiiiii"
    digests = [chunk.digest for chunk in chunks if isinstance(chunk, ImageChunk)]
    assert digests[:5] == digests[5:]
    assert len(set(digests)) == 5


def test_what_is_seen_changes_what_is_said(context: Context, projector: Projector) -> None:
    prompt = f"<|im_start|>user\n{projector.marker}<|im_end|>\n<|im_start|>assistant\n"
    files = [image_file(noise(56, 56, seed)) for seed in range(4)] + [image_file(corners())]
    said = [say(context, projector, prompt, [file]) for file in files]
    assert say(context, projector, prompt, files[:1]) == said[0]
    assert len({tuple(each) for each in said}) > 1


@pytest.mark.parametrize("shape", [(1, 1), (1, 100), (100, 1), (2, 200), (1500, 1000)])
def test_pictures_of_any_shape_are_seen(
    projector: Projector, tiling: Projector, shape: tuple[int, int]
) -> None:
    for each in (projector, tiling):
        for chunk in each.split(each.marker, [image_file(noise(*shape))], add_special=True):
            assert isinstance(chunk, ImageChunk)
            assert np.isfinite(each.encode(chunk)).all()


@pytest.mark.parametrize("data", [b"", b"no image", image_file(corners())[:60]])
def test_what_is_no_image_is_the_callers_mistake(projector: Projector, data: bytes) -> None:
    mark = projector.marker
    with pytest.raises(InvalidRequest, match="image 1 cannot be used") as caught:
        projector.split(f"{mark} {mark}", [image_file(corners()), data], add_special=True)
    assert caught.value.param == "messages"


def test_markers_and_images_must_match(projector: Projector) -> None:
    with pytest.raises(ValueError, match="1 markers and 0 images"):
        projector.split(projector.marker, [], add_special=True)
    with pytest.raises(ValueError, match="0 markers and 1 images"):
        projector.split("<__media__>", [image_file(corners())], add_special=True)


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"embedding_size": 64}, "not a projector for this model"),
        ({"embedding_size": 576, "kind": "unheard_of"}, "not a projector for this model"),
        ({"embedding_size": 576, "vision": False}, "not a projector of images"),
        ({"embedding_size": 576, "kind": "gemma3"}, "attention that looks ahead"),
        ({"embedding_size": 576, "kind": "idefics3"}, "tokens around an image that the model does not have"),
    ],
)
def test_projectors_that_cannot_be_served_are_refused(
    model: Model, tmp_path: Path, fields: dict[str, object], says: str
) -> None:
    path = write_projector(tmp_path / "mmproj.gguf", **fields)  # type: ignore[arg-type]
    with pytest.raises(LlamaError, match=says):
        Projector(model, path, threads=1)


@pytest.mark.parametrize("content", [None, b"", b"GGUF", b"\x89PNG\r\n\x1a\n" * 100])
def test_files_that_are_no_projector_are_refused(model: Model, tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "mmproj.gguf"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(LlamaError, match="not a projector of images"):
        Projector(model, path, threads=1)


def test_positions_in_two_dimensions_are_refused(
    model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_projector(tmp_path / "mmproj.gguf", embedding_size=model.embedding_size)
    monkeypatch.setattr(mtmd, "mtmd_decode_use_mrope", lambda handle: True)
    with pytest.raises(LlamaError, match="M-RoPE"):
        Projector(model, path, threads=1)


MADE_AND_FREED = {
    "mtmd_init_from_file": "mtmd_free",
    "mtmd_bitmap_init": "mtmd_bitmap_free",
    "mtmd_input_chunks_init": "mtmd_input_chunks_free",
    "mtmd_input_chunk_copy": "mtmd_input_chunk_free",
}


def test_everything_native_is_freed_once(
    model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_projector(tmp_path / "tiles.gguf", embedding_size=model.embedding_size, tiles=True)
    refused = write_projector(tmp_path / "gemma.gguf", embedding_size=model.embedding_size, kind="gemma3")
    alive: dict[str, list[int]] = {maker: [] for maker in MADE_AND_FREED}
    freed = 0

    def watch(maker: str, freer: str) -> None:
        make, free = getattr(mtmd, maker), getattr(mtmd, freer)

        def making(*arguments: Any) -> Any:
            handle = make(*arguments)
            alive[maker].append(handle)
            return handle

        def freeing(handle: Any) -> None:
            nonlocal freed
            alive[maker].remove(handle)
            freed += 1
            free(handle)

        monkeypatch.setattr(mtmd, maker, making)
        monkeypatch.setattr(mtmd, freer, freeing)

    for maker, freer in MADE_AND_FREED.items():
        watch(maker, freer)
    with pytest.raises(LlamaError):
        Projector(model, refused, threads=1)
    projector = Projector(model, path, threads=1)
    good, bad = image_file(noise(200, 200)), image_file(corners())[:60]
    chunks = projector.split(projector.marker, [good], add_special=True)
    with pytest.raises(InvalidRequest):
        projector.split(projector.marker * 2, [good, bad], add_special=True)
    monkeypatch.setattr(mtmd, "mtmd_tokenize", lambda *arguments: 2)
    with pytest.raises(LlamaError, match="status 2"):
        projector.split(projector.marker, [good], add_special=True)
    assert len(alive["mtmd_input_chunk_copy"]) == len(chunks) == 5
    del chunks
    projector.close()
    projector.close()
    gc.collect()
    assert alive == {maker: [] for maker in MADE_AND_FREED}
    assert freed > len(MADE_AND_FREED)
