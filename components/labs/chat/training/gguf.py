"""Reads a language model from a GGUF file: its metadata and tensors in F32, F16, Q8_0 and Q4_1.

Format: ggml's documentation, docs/gguf.md, versions 2 and 3. Quantised tensors come in blocks of 32 numbers along a
row; a block of Q4_1 is a scale d and an offset m (float16) and 4-bit codes q: d q + m; of Q8_0 d and 8-bit codes: d q.
"""

from __future__ import annotations

import struct
from math import prod
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from components.errors import UserError
from components.labs.chat.training.quantised_matrices import BLOCK, Matrix, Quantised

MAGIC = b"GGUF"
VERSIONS = (2, 3)
NUMBERS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
"""Types of metadata values, as `struct` spells them."""
TEXT, ARRAY = 8, 9
F32, F16, Q4_1, Q8_0 = 0, 1, 3, 8
BLOCK_BYTES = {F32: 4 * BLOCK, F16: 2 * BLOCK, Q4_1: 4 + BLOCK // 2, Q8_0: 2 + BLOCK}
LONGEST = 1 << 24
"""Most entries of a list, and bytes of a text: a damaged length must not fill the memory."""


class _Place(NamedTuple):
    shape: tuple[int, ...]
    kind: int
    offset: int


class Gguf:
    """An open file. Raises UserError in one line where it is not whole, or holds what is not read here."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._content = np.memmap(path, np.uint8, "r")
            self.metadata, self._places, self._start = _header(self._content)
        except (OSError, ValueError, struct.error, UnicodeDecodeError, KeyError, OverflowError) as error:
            raise UserError(f"{path} is not a whole GGUF file: {' '.join(str(error).split())[:120]}") from None

    @property
    def tensors(self) -> frozenset[str]:
        return frozenset(self._places)

    def value(self, key: str) -> Any:
        """Raises UserError where the metadata lacks it."""
        if key not in self.metadata:
            raise UserError(f"{self.path} does not say what its {key} is")
        return self.metadata[key]

    def tensor(self, name: str) -> Matrix | np.ndarray:
        """A matrix (rows, columns), or a vector float32. Raises UserError."""
        if name not in self._places:
            raise UserError(f"{self.path} has no tensor {name}")
        shape, kind, offset = self._places[name]
        if kind not in BLOCK_BYTES:
            raise UserError(f"{self.path}: {name} is of GGUF's type {kind}; F32, F16, Q4_1 and Q8_0 are read")
        size = prod(shape)
        if kind in (F32, F16):
            dtype = np.dtype("<f4" if kind == F32 else "<f2")
            return self._bytes(name, offset, size * dtype.itemsize).view(dtype).reshape(shape).astype(np.float32)
        if shape[-1] % BLOCK:
            raise UserError(f"{self.path}: rows of {name} are no multiple of {BLOCK} numbers")
        blocks = self._bytes(name, offset, size // BLOCK * BLOCK_BYTES[kind])
        return _quantised(blocks.reshape(*shape[:-1], shape[-1] // BLOCK, BLOCK_BYTES[kind]), kind)

    def _bytes(self, name: str, offset: int, count: int) -> np.ndarray:
        content = self._content[self._start + offset : self._start + offset + count]
        if len(content) != count:
            raise UserError(f"{self.path} is not a whole GGUF file: it ends inside {name}")
        return np.array(content)


def _quantised(blocks: np.ndarray, kind: int) -> Quantised:
    """blocks (rows, blocks, bytes) uint8."""
    scale = blocks[..., :2].copy().view("<f2")[..., 0].astype(np.float32)
    if kind == Q8_0:
        return Quantised(blocks[..., 2:].copy().view(np.int8), scale, None)
    offset = blocks[..., 2:4].copy().view("<f2")[..., 0].astype(np.float32)
    packed = blocks[..., 4:]
    # The first half of a block is in the low nibbles, the second in the high ones.
    return Quantised(np.concatenate([packed & 15, packed >> 4], axis=-1).view(np.int8), scale, offset)


def _header(content: np.ndarray) -> tuple[dict[str, Any], dict[str, _Place], int]:
    reader = _Reader(content)
    if reader.take(4) != MAGIC:
        raise ValueError("it does not begin with GGUF")
    version = reader.number("I")
    if version not in VERSIONS:
        raise ValueError(f"version {version} is not read")
    tensors, entries = reader.number("Q"), reader.number("Q")
    if max(tensors, entries) > LONGEST:
        raise ValueError("it counts more entries than it can hold")
    metadata = {reader.text(): reader.value(reader.number("I")) for _ in range(entries)}
    places = {}
    for _ in range(tensors):
        name = reader.text()
        dimensions = reader.number("I")
        if not 1 <= dimensions <= 4:
            raise ValueError(f"{name} has {dimensions} dimensions")
        shape = tuple(reader.number("Q") for _ in range(dimensions))[::-1]
        places[name] = _Place(shape, reader.number("I"), reader.number("Q"))
    alignment = metadata.get("general.alignment", 32)
    return metadata, places, -(-reader.place // alignment) * alignment


class _Reader:
    def __init__(self, content: np.ndarray) -> None:
        self._content, self.place = content, 0

    def take(self, count: int) -> bytes:
        part = self._content[self.place : self.place + count].tobytes()
        if count > LONGEST or len(part) != count:
            raise ValueError("it ends in the middle of its header")
        self.place += count
        return part

    def number(self, kind: str) -> Any:
        return struct.unpack(f"<{kind}", self.take(struct.calcsize(f"<{kind}")))[0]

    def text(self) -> str:
        return self.take(self.number("Q")).decode()

    def value(self, kind: int) -> Any:
        if kind == TEXT:
            return self.text()
        if kind != ARRAY:
            return self.number(NUMBERS[kind])
        inner, count = self.number("I"), self.number("Q")
        if count > LONGEST:
            raise ValueError(f"a list of {count} entries")
        return [self.value(inner) for _ in range(count)]
