"""Which question a styled answer belongs to: the style files hold none, but both they and Dolly's questions keep the
order of one list, so the pairs are the monotone alignment with the highest similarity."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]


class Alignment(NamedTuple):
    """pairs (P, 2) int: line and row, both rising. similarity (P,): their cosines.

    own_best (P,) bool: whether no other row is more similar to the line. agrees (P,) bool: whether the alignments of
    each style by itself, which were written independently of each other, all have the pair.
    """

    pairs: NDArray[np.int64]
    similarity: Floats
    own_best: NDArray[np.bool_]
    agrees: NDArray[np.bool_]


def align(styles: Sequence[Sequence[str]], rows: Sequence[str], min_similarity: float) -> Alignment:
    """Aligns lines, of which each style has a version, with rows.

    A pair counts its cosine less `min_similarity`; a pair that is less similar is never worth having.
    """
    versions = [similarities(lines, rows) for lines in styles]
    together = np.mean(versions, axis=0)
    pairs = monotone(together - min_similarity)
    chosen = together[pairs[:, 0], pairs[:, 1]]
    best = chosen >= together[pairs[:, 0]].max(axis=1) if len(pairs) else np.zeros(0, bool)
    alone = [{tuple(pair) for pair in monotone(version - min_similarity)} for version in versions]
    agrees = np.array([all(tuple(pair) in found for found in alone) for pair in pairs], bool)
    return Alignment(pairs, chosen, best, agrees)


def similarities(lines: Sequence[str], rows: Sequence[str]) -> Floats:
    """Cosines (lines, rows) of TF-IDF vectors of words."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    vectors = TfidfVectorizer(stop_words="english", sublinear_tf=True).fit([*lines, *rows])
    product = vectors.transform(lines) @ vectors.transform(rows).T
    return np.asarray(product.toarray(), np.float32)


def monotone(gains: Floats) -> NDArray[np.int64]:
    """The pairs (P, 2), rising in both columns, with the highest sum of gains (L, R); none has a gain of 0 or less.

    Needleman and Wunsch 1970, with gaps that cost nothing.
    """
    lines, rows = gains.shape
    best = np.zeros((lines + 1, rows + 1), np.float32)
    for line in range(lines):
        with_pair = best[line, :-1] + gains[line]
        best[line + 1, 1:] = np.maximum.accumulate(np.maximum(best[line, 1:], with_pair))
    pairs = []
    line, row = lines, rows
    while line and row:
        if best[line, row] == best[line, row - 1]:
            row -= 1
        elif best[line, row] == best[line - 1, row]:
            line -= 1
        else:
            line, row = line - 1, row - 1
            pairs.append((line, row))
    return np.array(pairs[::-1], np.int64).reshape(-1, 2)
