"""The eyes of a language model: images to embeddings that stand where tokens stand.

Built on mtmd, llama.cpp's library for this; names and meanings are those of mtmd.h.
"""

import ctypes
import hashlib
import secrets
import threading
import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import llama_cpp as c
import numpy as np
from llama_cpp import mtmd_cpp as mtmd
from numpy.typing import NDArray

from edge.engines.base import InvalidRequest
from edge.engines.llama import LlamaError, Model
from edge.engines.llama.native import log_callback
from edge.engines.llm.pixels import decode_image
from edge.images.errors import ImageError

_PROBE_PIXELS = 64
"""Side of the grey square that every projector is tried with before it is used."""


@dataclass(frozen=True, slots=True)
class TextChunk:
    """Part of a prompt that is text."""

    tokens: list[int]


class _NativeChunk:
    """A ``mtmd_input_chunk`` of our own, with the pixels of its image; freed with this object."""

    def __init__(self, borrowed: Any) -> None:
        self.handle = mtmd.mtmd_input_chunk_copy(borrowed)
        if not self.handle:
            raise LlamaError("there is no memory for an image")
        weakref.finalize(self, mtmd.mtmd_input_chunk_free, self.handle).atexit = False


@dataclass(frozen=True, slots=True)
class ImageChunk:
    """Part of a prompt that is an image, or a tile of one.

    It takes *n_tokens* places and as many positions. Chunks of equal *digest* (32 bytes) and the same
    projector have equal embeddings, whatever stands around them.
    """

    n_tokens: int
    digest: bytes
    native: _NativeChunk = field(repr=False, compare=False)


class Projector:
    """The projector file at *path*, loaded beside the *model* that it was trained for.

    ``marker`` is what stands for an image in a prompt; nobody outside can guess it. :meth:`split` and
    :meth:`encode` may be called from any thread, and ``encode`` beside the model's own computing.

    Raises:
        LlamaError: the file is no projector of images, belongs to another model, or asks for something that
            the engine does not do: positions in two dimensions (M-RoPE) or attention that looks ahead
            within an image.
    """

    def __init__(self, model: Model, path: Path, *, threads: int) -> None:
        self.marker = f"<__image_{secrets.token_hex(16)}__>"
        self.embedding_size: int = c.llama_model_n_embd_inp(model.handle)
        self._model = model  # its vocabulary is used as long as the projector
        self._lock = threading.Lock()
        mtmd.mtmd_log_set(log_callback, ctypes.c_void_p(0))
        if not mtmd.mtmd_get_cap_from_file(str(path).encode()).inp_vision:
            raise LlamaError(f"{path.name} is not a projector of images")
        params = mtmd.mtmd_context_params_default()
        params.print_timings = False
        params.n_threads = threads
        params.media_marker = self.marker.encode()
        self._handle = mtmd.mtmd_init_from_file(str(path).encode(), model.handle, params)
        if not self._handle:
            raise LlamaError(f"{path.name} is not a projector for this model; the log says why")
        self._close = weakref.finalize(self, mtmd.mtmd_free, self._handle)
        self._close.atexit = False
        try:
            self._probe(path.name)
        except BaseException:
            self._close()
            raise

    def _probe(self, name: str) -> None:
        """Refuse what :meth:`split` would be wrong about."""
        if mtmd.mtmd_decode_use_mrope(self._handle):
            raise LlamaError(f"{name} needs positions in two dimensions (M-RoPE), which are not served")
        grey = np.full((_PROBE_PIXELS, _PROBE_PIXELS, 3), 128, np.uint8)
        with self._tokenized(self.marker, [(grey, "")], add_special=True) as chunks:
            for chunk in chunks:
                if mtmd.mtmd_input_chunk_get_type(chunk) == mtmd.MTMD_INPUT_CHUNK_TYPE_TEXT:
                    if min(_tokens(chunk), default=0) < 0:
                        raise LlamaError(f"{name} puts tokens around an image that the model does not have")
                    continue
                if mtmd.mtmd_decode_use_non_causal(self._handle, chunk):
                    raise LlamaError(f"{name} needs attention that looks ahead, which is not served")
                if mtmd.mtmd_input_chunk_get_n_pos(chunk) != mtmd.mtmd_input_chunk_get_n_tokens(chunk):
                    raise LlamaError(f"{name} needs fewer positions than tokens, which is not served")

    def split(
        self, prompt: str, images: Sequence[bytes], *, add_special: bool
    ) -> list[TextChunk | ImageChunk]:
        """Return *prompt* as chunks, the image files *images* in place of its markers.

        Special tokens that are written out in the prompt are taken for what they are.

        Raises:
            InvalidRequest: a file is no image that can be decoded.
            ValueError: there are more markers than images, or fewer.
        """
        if prompt.count(self.marker) != len(images):
            raise ValueError(f"{prompt.count(self.marker)} markers and {len(images)} images")
        bitmaps = [
            (_decoded(data, index), hashlib.sha256(data).digest()) for index, data in enumerate(images)
        ]
        named = [(pixels, str(index)) for index, (pixels, _) in enumerate(bitmaps)]
        digests = [digest for _, digest in bitmaps]
        split: list[TextChunk | ImageChunk] = []
        tiles = [0] * len(images)
        with self._tokenized(prompt, named, add_special=add_special) as chunks:
            for chunk in chunks:
                if mtmd.mtmd_input_chunk_get_type(chunk) == mtmd.MTMD_INPUT_CHUNK_TYPE_TEXT:
                    split.append(TextChunk(_tokens(chunk)))
                    continue
                index = int(mtmd.mtmd_input_chunk_get_id(chunk) or b"")
                digest = hashlib.sha256(digests[index] + tiles[index].to_bytes(4, "big")).digest()
                tiles[index] += 1
                size = mtmd.mtmd_input_chunk_get_n_tokens(chunk)
                split.append(ImageChunk(size, digest, _NativeChunk(chunk)))
        return split

    @contextmanager
    def _tokenized(
        self, prompt: str, images: Sequence[tuple[NDArray[np.uint8], str]], *, add_special: bool
    ) -> Iterator[list[Any]]:
        """Yield the chunks of *prompt*, which live as long as the context; *images* come with their ids."""
        text = prompt.encode("utf-8", "replace")
        bitmaps = (mtmd.mtmd_bitmap_p_ctypes * len(images))()
        chunks = mtmd.mtmd_input_chunks_init()
        try:
            for index, (pixels, name) in enumerate(images):
                height, width, _ = pixels.shape
                data = pixels.ctypes.data_as(ctypes.POINTER(ctypes.c_uint8))
                bitmaps[index] = mtmd.mtmd_bitmap_init(width, height, data)
                mtmd.mtmd_bitmap_set_id(bitmaps[index], name.encode())
            order = mtmd.mtmd_input_text(text, len(text), add_special, True)
            status = mtmd.mtmd_tokenize(self._handle, chunks, ctypes.byref(order), bitmaps, len(images))
            if status != 0:
                raise LlamaError(f"mtmd_tokenize failed with status {status}")
            count = mtmd.mtmd_input_chunks_size(chunks)
            yield [mtmd.mtmd_input_chunks_get(chunks, index) for index in range(count)]
        finally:
            mtmd.mtmd_input_chunks_free(chunks)
            for bitmap in bitmaps:
                mtmd.mtmd_bitmap_free(bitmap)

    def encode(self, chunk: ImageChunk) -> NDArray[np.float32]:
        """Return the embeddings of *chunk*, shape (n_tokens, embedding size of the model).

        Raises:
            LlamaError: mtmd fails.
        """
        with self._lock:
            status = mtmd.mtmd_encode_chunk(self._handle, chunk.native.handle)
            if status != 0:
                raise LlamaError(f"mtmd_encode_chunk failed with status {status}")
            output = mtmd.mtmd_get_output_embd(self._handle)
            rows = np.ctypeslib.as_array(output, (chunk.n_tokens, self.embedding_size))
            return rows.astype(np.float32)

    def close(self) -> None:
        """Free the projector; nothing may be called any more."""
        with self._lock:
            self._close()


def _decoded(data: bytes, index: int) -> NDArray[np.uint8]:
    try:
        return decode_image(data)
    except ImageError as error:
        raise InvalidRequest(f"image {index} cannot be used: {error}", param="messages") from None


def _tokens(chunk: Any) -> list[int]:
    count = ctypes.c_size_t()
    tokens = mtmd.mtmd_input_chunk_get_tokens_text(chunk, ctypes.byref(count))
    return list(tokens[: count.value]) if count.value else []
