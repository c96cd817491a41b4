"""Whether requests are still like the data that a model was measured on, told from counts in bins alone.

A feature is a number or a word that a request has, such as how bright its picture is. `evaluate` counts it over
held-out data; a server counts it over requests, and compares.

The distance is the population stability index (Lewis 1994; Siddiqi 2006), the symmetric divergence of Jeffreys (1946):
PSI = sum over bins of (p - q) ln(p / q), for shares p of the reference and q of the window. For small differences it
is sum (p - q)^2 / p, Pearson's statistic for two samples but for the factor 1/N + 1/n: where N values of the reference
and n of the window come from one distribution over B bins, PSI / (1/N + 1/n) is about chi-square with B - 1 degrees of
freedom (Yurdakul and Naranjo 2020, "Statistical properties of the population stability index"). So a threshold at a
stated rate of false alarms follows from N, n and B. The usual 0.1 and 0.25 have no such rate.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import pairwise
from math import isfinite, sqrt
from typing import Self

import numpy as np
from numpy.typing import ArrayLike
from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, model_validator

from components.stats import normal_quantile

BINS = 10
"""Bins of a number, at most; each holds about as many values of the reference as another."""
LEAST = 20
"""Values of the reference in a bin, about, at least: with fewer the index is no longer about chi-square."""
PICTURE_SIDE = "picture_side"
"""A feature of every API that takes pictures."""
SIDES = (64, 128, 256, 512, 1024, 2048, 4096)
HALF = 0.5
"""Added to every count, so that an empty bin has a logarithm (Krichevsky and Trofimov 1981). Without it one window in
500 is beyond the threshold that one in 1,000 should pass, and with rare bins one in 25; with it 1.0 to 1.2 in 1,000."""


class Reference(BaseModel):
    """A feature's bins, and how many values of held-out data lie in each; none in any where no data is like requests.

    edges: of numbers; bin i holds values from edge i - 1, included, to edge i.  words: of words, a bin each; the last
    bin holds all others.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    about: str
    edges: tuple[float, ...] = ()
    words: tuple[str, ...] = ()
    counts: tuple[NonNegativeInt, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _bins_are_counted(self) -> Self:
        if self.edges and self.words:
            raise ValueError("bins are of numbers or of words")
        if len(self.counts) != len(self.edges or self.words) + 1:
            raise ValueError(f"{len(self.counts)} counts for {len(self.edges or self.words) + 1} bins")
        if not all(map(isfinite, self.edges)) or list(self.edges) != sorted(set(self.edges)):
            raise ValueError("edges ascend")
        return self

    @property
    def values(self) -> int:
        """How many values were counted."""
        return sum(self.counts)

    @property
    def labels(self) -> list[str]:
        """A name for each bin."""
        if not self.edges:
            return [*self.words, "others" if self.words else "all"]
        edges = [f"{edge:.4g}" for edge in self.edges]
        inner = [f"{low} to {high}" for low, high in pairwise(edges)]
        return [f"below {edges[0]}", *inner, f"from {edges[-1]}"]

    def bin_of(self, value: float | str) -> int:
        """Which bin a value lies in, from 0."""
        if isinstance(value, str):
            return self.words.index(value) if value in self.words else len(self.words)
        return bisect_right(self.edges, value)

    def count(self, values: Iterable[float | str]) -> list[int]:
        """How many of the values lie in each bin."""
        found = Counter(map(self.bin_of, values))
        return [found[place] for place in range(len(self.counts))]


def numbers(values: ArrayLike, about: str) -> Reference:
    """A reference of numbers, in at most BINS bins between their quantiles; equal values share a bin."""
    given = np.asarray(values, float)
    bins = max(1, min(BINS, len(given) // LEAST))
    edges = np.unique(np.quantile(given, np.arange(1, bins) / bins)) if bins > 1 else np.zeros(0)
    edges = edges[edges > given.min(initial=np.inf)]  # nothing would lie below
    return _counted(Reference(about=about, edges=tuple(edges.tolist()), counts=(0,) * (len(edges) + 1)), given.tolist())


def words(values: Sequence[str], about: str) -> Reference:
    """A reference of words: a bin for each that is there LEAST times, the commonest first, and one for all others."""
    often = tuple(word for word, count in Counter(sorted(values)).most_common() if count >= LEAST)
    return _counted(Reference(about=about, words=often, counts=(0,) * (len(often) + 1)), values)


def uncounted(about: str, edges: Sequence[float]) -> Reference:
    """Bins of a feature that held-out data does not have: a server counts it, and compares it with nothing."""
    return Reference(about=about, edges=tuple(edges), counts=(0,) * (len(edges) + 1))


def picture_sides() -> Reference:
    """Bins of PICTURE_SIDE. Held-out pictures are files of one size, or were framed: no other size is like theirs."""
    return uncounted("longest side of the picture that was sent, in pixels", SIDES)


def population_stability_index(reference: Sequence[int], window: Sequence[int]) -> float:
    """0 (equal shares) upwards; the arguments change places without a difference. Both are counts in the same bins."""
    shares = [np.asarray(counts, float) + HALF for counts in (reference, window)]
    p, q = (counts / counts.sum() for counts in shares)
    return float(((p - q) * np.log(p / q)).sum())


def threshold(reference: int, window: int, bins: int, rate: float) -> float:
    """The index that a share `rate` of windows exceeds whose values come from where those of the reference do.

    reference, window: how many values each holds.
    """
    return chi_square_quantile(bins - 1, rate) * (1 / reference + 1 / window) if bins > 1 else float("inf")


def chi_square_quantile(freedom: int, tail: float) -> float:
    """What a chi-square variable exceeds with probability `tail` (Wilson and Hilferty 1931).

    At a tail of 1 in 1,000 it is too large by 1.8 % for three degrees of freedom, and by less for more.
    """
    spread = 2 / (9 * freedom)
    return float(freedom * (1 - spread + normal_quantile(tail) * sqrt(spread)) ** 3)


def _counted(reference: Reference, values: Iterable[float | str]) -> Reference:
    return reference.model_copy(update={"counts": tuple(reference.count(values))})
