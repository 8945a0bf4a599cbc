"""The header of a GGUF file, read and checked before any native code sees the file.

Every count, length, type and offset is held against the file's real size, so a cut or crafted file is an
error here and not a wild read in a parser written in C. The layout is ggml's ``docs/gguf.md``.
"""

import os
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from gguf.constants import GGML_QUANT_SIZES

MAX_ENTRIES = 65_536
"""Of metadata keys, and of tensors. The largest published models have a few thousand."""

MAX_KEPT_ELEMENTS = 4_096
"""Longer arrays, such as a vocabulary, are only checked and counted."""

MAX_HEADER_BYTES = 256 * 1024 * 1024
"""Several times the vocabulary and merges of the largest published tokenizer."""

MAX_DIMENSIONS = 4
MAX_NAME_BYTES = 64
MAX_KEY_BYTES = 65_535
VERSIONS = (2, 3)

_READ_BYTES = 1024 * 1024
_STRING, _ARRAY, _BOOL = 8, 9, 7
_SCALARS = dict(zip((0, 1, 2, 3, 4, 5, 6, 7, 10, 11, 12), "BbHhIifBQqd", strict=True))
"""struct's letter of each scalar type."""


class GgufError(Exception):
    """The file is no GGUF file that can be loaded; the message says what is wrong with it."""


@dataclass(frozen=True, slots=True)
class GgufHeader:
    """What a header says. ``metadata`` has every key; a long array is there as its :class:`Length`."""

    metadata: Mapping[str, Any]
    tensor_bytes: int
    """Bytes of all tensors together."""

    @property
    def architecture(self) -> str:
        return str(self.metadata["general.architecture"])

    def get(self, key: str) -> Any:
        """Return the architecture's own value *key*, such as ``block_count``, None if it has none."""
        return self.metadata.get(f"{self.architecture}.{key}")

    @property
    def vocabulary(self) -> int:
        """How many tokens the model knows; 0 if the file does not say."""
        tokens = self.metadata.get("tokenizer.ggml.tokens", ())
        return tokens.count if isinstance(tokens, Length) else len(tokens)


@dataclass(frozen=True, slots=True)
class Length:
    """Stands for an array of ``count`` elements that was checked but not kept."""

    count: int


def read_header(path: Path) -> GgufHeader:
    """Read and check the header of the GGUF file *path*. Takes milliseconds, a large vocabulary a tenth of a
    second.

    Raises:
        GgufError: the file is empty, cut off, or says something that cannot be.
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        try:
            return _read(_Cursor(file))
        except GgufError as error:
            raise GgufError(f"{path.name} is damaged: {error}") from None


class _Cursor:
    """Reads little-endian values one after the other, never past the end.

    By plain reads: a file that shrinks under a memory map kills the process.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._data = bytearray()
        self.size = os.fstat(file.fileno()).st_size
        self.position = 0

    def skip(self, count: int) -> int:
        """Move on by *count* bytes and return where they began."""
        begin = self.position
        self._have(begin + count)
        self.position = begin + count
        return begin

    def _have(self, end: int) -> None:
        if MAX_HEADER_BYTES < end <= self.size:
            raise GgufError(f"its header is larger than {MAX_HEADER_BYTES} bytes")
        if len(self._data) < end <= self.size:
            self._data += self._file.read(max(end - len(self._data), _READ_BYTES))
        if end > len(self._data):
            raise GgufError(f"it ends at byte {self.size}, within its header")

    def scalar(self, letter: str) -> Any:
        begin = self.skip(struct.calcsize(f"<{letter}"))
        return struct.unpack_from(f"<{letter}", self._data, begin)[0]

    def scalars(self, letter: str, count: int) -> list[Any]:
        begin = self.skip(count * struct.calcsize(f"<{letter}"))
        return list(struct.unpack_from(f"<{count}{letter}", self._data, begin))

    def text(self, longest: int | None = None) -> str:
        length = self.scalar("Q")
        if longest is not None and length > longest:
            raise GgufError(f"a name at byte {self.position} has {length} bytes")
        begin = self.skip(length)
        return self._data[begin : begin + length].decode("utf-8", "replace")

    def skip_texts(self, count: int) -> None:
        unpack, data = struct.Struct("<Q").unpack_from, self._data
        position = self.position
        for _ in range(count):
            if position + 8 > len(data):
                self._have(position + 8)
            position += 8 + unpack(data, position)[0]
        self.skip(position - self.position)


def _read(cursor: _Cursor) -> GgufHeader:
    if cursor.size < 24 or cursor.scalars("B", 4) != list(b"GGUF"):
        raise GgufError("it does not begin as a GGUF file does")
    version = cursor.scalar("I")
    if version not in VERSIONS:
        raise GgufError(f"its version is {version}; {' and '.join(map(str, VERSIONS))} can be read")
    tensors = _count(cursor, "tensors")
    keys = _count(cursor, "metadata keys")
    metadata: dict[str, Any] = {}
    for _ in range(keys):
        key = cursor.text(MAX_KEY_BYTES)
        if key in metadata:
            raise GgufError(f"the key {key[:100]!r} is there twice")
        metadata[key] = _value(cursor, cursor.scalar("I"), key)
    if not isinstance(metadata.get("general.architecture"), str):
        raise GgufError("it does not say its architecture")
    spans = [_tensor(cursor) for _ in range(tensors)]
    alignment = metadata.get("general.alignment", 32)
    if not isinstance(alignment, int) or alignment <= 0 or alignment & (alignment - 1):
        raise GgufError(f"its alignment is {alignment}")
    return GgufHeader(metadata, _check_spans(spans, alignment, cursor))


def _count(cursor: _Cursor, what: str) -> int:
    count: int = cursor.scalar("Q")
    if count > MAX_ENTRIES:
        raise GgufError(f"it says that it has {count} {what}")
    return count


def _value(cursor: _Cursor, kind: int, key: str) -> Any:
    if kind == _STRING:
        return cursor.text()
    if kind != _ARRAY:
        return _truth(cursor.scalar(_letter(kind, key)), kind)
    element, count = cursor.scalar("I"), cursor.scalar("Q")
    if element == _STRING:
        if count <= MAX_KEPT_ELEMENTS and count * 8 <= cursor.size - cursor.position:
            return [cursor.text() for _ in range(count)]
        if count * 8 > cursor.size - cursor.position:
            raise GgufError(f"{key[:100]!r} says that it has {count} elements")
        cursor.skip_texts(count)
        return Length(count)
    letter = _letter(element, key)
    if count <= MAX_KEPT_ELEMENTS:
        return [_truth(value, element) for value in cursor.scalars(letter, count)]
    cursor.skip(count * struct.calcsize(f"<{letter}"))
    return Length(count)


def _letter(kind: int, key: str) -> str:
    letter = _SCALARS.get(kind)
    if letter is None:
        raise GgufError(f"{key[:100]!r} is of the unknown type {kind}")
    return letter


def _truth(value: Any, kind: int) -> Any:
    return bool(value) if kind == _BOOL else value


@dataclass(frozen=True, slots=True)
class _Span:
    name: str
    offset: int
    length: int


def _tensor(cursor: _Cursor) -> _Span:
    name = cursor.text(MAX_NAME_BYTES)
    dimensions = cursor.scalar("I")
    if dimensions > MAX_DIMENSIONS:
        raise GgufError(f"tensor {name!r} has {dimensions} dimensions")
    shape = cursor.scalars("Q", dimensions)
    kind, offset = cursor.scalar("I"), cursor.scalar("Q")
    sizes = _QUANT_SIZES.get(kind)
    if sizes is None:
        raise GgufError(f"tensor {name!r} is of the unknown type {kind}")
    block, block_bytes = sizes
    elements = 1
    for size in shape:
        elements *= size
        if not 0 < elements < 2**63:
            raise GgufError(f"tensor {name!r} has the impossible shape {shape}")
    if shape and shape[0] % block:
        raise GgufError(f"tensor {name!r} has rows of {shape[0]}, which is no multiple of {block}")
    return _Span(name, offset, elements // block * block_bytes)


_QUANT_SIZES = {int(kind): sizes for kind, sizes in GGML_QUANT_SIZES.items()}
"""Of each tensor type: elements and bytes of a block."""


def _check_spans(spans: list[_Span], alignment: int, cursor: _Cursor) -> int:
    """Return the bytes of all tensors, which must lie in the file one after the other, as ggml wants them."""
    begin = -(-cursor.position // alignment) * alignment
    room = cursor.size - begin
    end = total = 0
    names = set()
    for span in spans:
        if span.name in names:
            raise GgufError(f"tensor {span.name!r} is there twice")
        names.add(span.name)
        if span.offset != end:
            raise GgufError(f"tensor {span.name!r} is at {span.offset}, not at {end}")
        if span.offset + span.length > room:
            raise GgufError(f"it ends at byte {cursor.size}, within tensor {span.name!r}")
        total += span.length
        end = -(-(span.offset + span.length) // alignment) * alignment
    return total
