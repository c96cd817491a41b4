"""A weight matrix of the base, as it was stored: quantised matrices stay so until somebody wants floats."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

BLOCK = 32
"""Numbers of a row that share a scale."""


class Quantised(NamedTuple):
    """codes (rows, blocks, BLOCK) int8; scale (rows, blocks) float32; offset (rows, blocks) float32, or None for 0.

    With an offset codes are 0 to 15 (4 bits), without they are -128 to 127 (8 bits). A number is scale code + offset.
    """

    codes: NDArray[np.int8]
    scale: NDArray[np.float32]
    offset: NDArray[np.float32] | None

    @property
    def shape(self) -> tuple[int, int]:
        return self.codes.shape[0], self.codes.shape[1] * BLOCK


Matrix = Quantised | NDArray[np.float32]
"""(outputs, inputs)."""


def floats(matrix: Matrix) -> NDArray[np.float32]:
    """The matrix as float32."""
    if not isinstance(matrix, Quantised):
        return matrix
    values = matrix.codes.astype(np.float32) * matrix.scale[..., None]
    if matrix.offset is not None:
        values += matrix.offset[..., None]
    return values.reshape(matrix.shape)


def rows(matrix: Matrix, index: NDArray[np.int64]) -> Matrix:
    """The matrix with its rows in another order."""
    if not isinstance(matrix, Quantised):
        return np.ascontiguousarray(matrix[index])
    offset = None if matrix.offset is None else matrix.offset[index]
    return Quantised(matrix.codes[index], matrix.scale[index], offset)


def stacked(matrices: list[Matrix]) -> Matrix:
    """Matrices above each other: quantised where all are, in one way; else as floats."""
    first = matrices[0]
    if isinstance(first, Quantised) and all(
        isinstance(each, Quantised) and (each.offset is None) == (first.offset is None) for each in matrices
    ):
        parts = [each for each in matrices if isinstance(each, Quantised)]
        offsets = [each.offset for each in parts if each.offset is not None]
        return Quantised(
            np.concatenate([each.codes for each in parts]),
            np.concatenate([each.scale for each in parts]),
            np.concatenate(offsets) if offsets else None,
        )
    return np.concatenate([floats(each) for each in matrices])
