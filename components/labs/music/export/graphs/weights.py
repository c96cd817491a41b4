"""The model's weights, in the graphs' layout."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

Variant = Literal["float", "int8"]

HIDDEN_SCALE = 1 / 127
"""|h| = |sigmoid * tanh| < 1, so the hidden state's int8 scale is known beforehand: no calibration, and a tune's
numbers never depend on the others in its batch, as they would with a scale taken from the data."""


@dataclass(frozen=True)
class Weights:
    """A stacked LSTM over V characters and its attention, in float32; gates are ordered input, forget, output,
    candidate.

    table: (V, 4H), what each character adds to the first layer's gates: embedding, input product and biases in one
    row, so that looking it up replaces a matrix product.
    products: (H, 4H) of the first layer; (2H, 4H) of those above, the rows of the layer below first.
    biases: (4H,) of each layer above the first.
    decoder: (H, V); decoder_bias: (V,).
    query: (H, heads * size), divided by sqrt(size); key: (H, size); value: (V, size); output: (heads * size, V).
    lag, window: character t sees character i where lag <= t - i < window.
    """

    table: np.ndarray
    products: Sequence[np.ndarray]
    biases: Sequence[np.ndarray]
    decoder: np.ndarray
    decoder_bias: np.ndarray
    query: np.ndarray
    key: np.ndarray
    value: np.ndarray
    output: np.ndarray
    lag: int
    window: int

    @property
    def layers(self) -> int:
        return len(self.products)

    @property
    def hidden_size(self) -> int:
        return int(self.decoder.shape[0])

    @property
    def characters(self) -> int:
        return int(self.decoder.shape[1])

    @property
    def key_size(self) -> int:
        return int(self.key.shape[1])

    @property
    def heads(self) -> int:
        return int(self.query.shape[1]) // self.key_size

    @property
    def memory(self) -> int:
        """Characters remembered: all that the next one may see."""
        return self.window - 1
