"""What the model remembers of one tune that is being written, so that the tune can go back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from components.labs.music.runtime.model import State, Steps


class LayerState(NamedTuple):
    """The LSTM's state at a place of a tune: hidden and cell (layers * H,), as in State."""

    hidden: np.ndarray
    cell: np.ndarray
    read: int
    """Characters that the model had read."""


class History:
    """One tune's row of a batch. It holds the attention's memory of the whole tune once, so that a place to go back to
    is a LayerState: a hundredth of the state's bytes."""

    def __init__(self, start: State) -> None:
        """start: the model's state before the tune (1 row)."""
        self.layers = LayerState(start.hidden[0], start.cell[0], 0)
        """Where the model goes on."""
        self._window = start.past.shape[1]
        self._keys, self._past = start.keys[0], start.past[0]  # the window before the tune, then the tune

    @staticmethod
    def together(histories: Sequence[History]) -> State:
        """The state of these tunes where each goes on, a row for each."""
        window = histories[0]._window
        keys = np.empty((len(histories), len(histories[0]._keys), window), np.float32)
        past = np.empty((len(histories), window), np.int64)
        for row, history in enumerate(histories):
            read = history.layers.read
            keys[row], past[row] = history._keys[:, read : read + window], history._past[read : read + window]
        layers = [history.layers for history in histories]
        return State(np.stack([each.hidden for each in layers]), np.stack([each.cell for each in layers]), keys, past)

    def after(self, steps: Steps, row: int, count: int) -> LayerState:
        """The layers after `count` characters of a call that went on from here; 0 is before it."""
        if not count:
            return self.layers
        hidden, cell = steps.hidden[count - 1, row].copy(), steps.cell[count - 1, row].copy()
        return LayerState(hidden, cell, self.layers.read + count)

    def add(self, steps: Steps, row: int) -> None:
        """The model has read a call's characters, and goes on after the last of them."""
        self._append(steps.keys[row], steps.read[row])
        self.layers = self.after(steps, row, steps.read.shape[1])

    def add_read(self, ids: np.ndarray, state: State) -> None:
        """The model has read ids (T,), which left this state (1 row)."""
        newest = min(len(ids), self._window)  # the others are out of everybody's sight
        self.layers = self.layers._replace(read=self.layers.read + len(ids) - newest)
        self._append(state.keys[0][:, -newest:], state.past[0][-newest:])
        self.layers = LayerState(state.hidden[0], state.cell[0], self.layers.read + newest)

    def go_back(self, layers: LayerState) -> None:
        """The model goes on from there; what it has read since is forgotten."""
        self.layers = layers

    def _append(self, keys: np.ndarray, ids: np.ndarray) -> None:
        start = self._window + self.layers.read
        end = start + len(ids)
        if end > len(self._past):
            more = end  # twice as much in all, so that this is rare
            self._keys = np.concatenate([self._keys, np.zeros((len(self._keys), more), np.float32)], axis=1)
            self._past = np.concatenate([self._past, np.zeros(more, np.int64)])
        self._keys[:, start:end], self._past[start:end] = keys, ids
