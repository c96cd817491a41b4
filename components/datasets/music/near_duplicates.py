"""Tunes that are another version of a held-out tune: the same melody, in any key, metre of the same bars or notation.

A melody is read in steps, an eighth in C and 6/8 and a sixteenth in 2/4, so that a reel in 2/4 and one in C are alike.
A bar's worth of intervals between the pitches that sound at neighbouring steps is a shingle. What two tunes share is
the number of common shingles by that of the tune that has fewer (containment), since a version may lack a part.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from fractions import Fraction
from itertools import pairwise

from components.datasets.music.abc_notation import Tune, parse_tune
from components.datasets.music.elements import TICKS

Shingles = frozenset[tuple[int, ...]]

SHINGLE = 8
"""Intervals of a shingle: a bar of a reel."""


def shingles(text: str) -> Shingles:
    """Every run of SHINGLE intervals of a tune in the dialect; none of a tune that is shorter."""
    pitches = _at_steps(parse_tune(text))
    steps = [after - before for before, after in pairwise(pitches)]
    runs = {tuple(steps[first : first + SHINGLE]) for first in range(len(steps) - SHINGLE + 1)}
    # A held or repeated note is in too many tunes to tell of any.
    return frozenset(run for run in runs if sum(step != 0 for step in run) >= SHINGLE // 2)


def _at_steps(tune: Tune) -> list[int]:
    """The highest pitch that sounds at each step; a rest prolongs the note before."""
    step = TICKS // (16 if tune.metre == Fraction(1, 2) else 8)
    found: list[int] = []
    now, sounding = 0, 0
    for note in tune.notes:
        sounding = max(note.pitches, default=sounding)
        end = now + note.ticks
        found += [sounding] * (-(-end // step) - -(-now // step))
        now = end
    return found


class HeldOut:
    """Finds which held-out tune a tune shares most with."""

    def __init__(self, tunes: Mapping[str, str]) -> None:
        """tunes: texts by id."""
        self.sizes: dict[str, int] = {}
        self.with_shingle: dict[tuple[int, ...], list[str]] = defaultdict(list)
        for name, text in tunes.items():
            found = shingles(text)
            self.sizes[name] = len(found)
            for shingle in found:
                self.with_shingle[shingle].append(name)

    def nearest(self, own: Shingles) -> tuple[str, float]:
        """Id of the tune that shares most with one of these, and the share, 0 to 1; ("", 0.0) where none does."""
        shared = _counted(name for shingle in own for name in self.with_shingle.get(shingle, ()))
        shares = {name: count / max(1, min(self.sizes[name], len(own))) for name, count in shared.items()}
        best = max(shares, key=lambda name: (shares[name], name), default="")
        return best, shares.get(best, 0.0)


def _counted(names: Iterable[str]) -> dict[str, int]:
    counts: dict[str, int] = defaultdict(int)
    for name in names:
        counts[name] += 1
    return counts
