"""Bits per character: how well a model expects held-out tunes, each read from its start."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from components.datasets.music.reader import TUNE_START
from components.labs.music.evaluation.novelty import body
from components.labs.music.runtime.model import TuneModel


def bits_of(model: TuneModel, texts: Sequence[str], batch: int) -> list[np.ndarray]:
    """-log2 p of every character of every text, (characters,) float64 each, state carried from the tune's start.

    The first character is predicted from TUNE_START; the end of the tune is not counted. `batch` texts are read
    together, neighbours in length, the shorter ones padded; the padding is read after them and changes nothing.
    """
    found: list[np.ndarray] = [np.empty(0)] * len(texts)
    by_length = sorted(range(len(texts)), key=lambda index: len(texts[index]))
    for first in range(0, len(by_length), batch):
        together = by_length[first : first + batch]
        ids = [model.vocabulary.encode(TUNE_START + texts[index]) for index in together]
        inputs = np.zeros((len(ids), max(map(len, ids)) - 1), np.int64)
        for row, tune in zip(inputs, ids, strict=True):
            row[: len(tune) - 1] = tune[:-1]
        _, log_probs = model.read(inputs, model.initial_state(len(ids)))
        for index, tune, predicted in zip(together, ids, log_probs, strict=True):
            chosen = predicted[np.arange(len(tune) - 1), tune[1:]]
            found[index] = chosen.astype(np.float64) / -np.log(2)
    return found


def bits_per_char(bits: Sequence[np.ndarray]) -> float:
    """Over all characters of all texts: long tunes count for more. NaN if there are none."""
    characters = sum(map(len, bits))
    return float(sum(float(tune.sum()) for tune in bits) / characters) if characters else float("nan")


def split_header(texts: Sequence[str], bits: Sequence[np.ndarray]) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """The bits of each text's header (to the end of its K: line) and of its music."""
    starts = [len(text) - len(body(text)) for text in texts]
    pairs = list(zip(bits, starts, strict=True))
    return [tune[:start] for tune, start in pairs], [tune[start:] for tune, start in pairs]


def by_position(bits: Sequence[np.ndarray], step: int) -> dict[str, list[float]]:
    """Bits per character of the characters 0 to step, step to 2 step, ... of all texts: {position: middle, bits}.

    Stops where fewer than a fifth of the texts go on: a mean over the few longest says little.
    """
    table: dict[str, list[float]] = {"position": [], "bits_per_char": []}
    first = 0
    while sum(len(tune) > first for tune in bits) > len(bits) / 5:
        table["position"].append(first + step / 2)
        table["bits_per_char"].append(bits_per_char([tune[first : first + step] for tune in bits]))
        first += step
    return table
