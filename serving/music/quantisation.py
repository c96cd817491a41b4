"""From times as they were played to times as they are written: a grid of sixteenths and triplets in each beat.

How far players stray from the grid is not known beforehand. For each of a few spreads, every beat takes the division
that explains its notes best (their distances from the grid, normally distributed, and how rare the division is); the
spread that is likeliest for the whole voice is taken. So exact files keep every triplet, and loose ones do not get
triplets that nobody meant.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import groupby, pairwise
from statistics import median
from typing import NamedTuple

from serving.music.midi_reader import PlayedNote

SIMPLE: Mapping[int, float] = {1: 0.0, 2: 0.3, 3: 4.5, 4: 5.0, 6: 8.0, 12: 11.0}
"""Equal parts of a beat of one quarter note, and how rare each division is (minus the logarithm of its share)."""
COMPOUND: Mapping[int, float] = {1: 0.0, 3: 0.3, 6: 5.0, 2: 6.0, 9: 8.0, 18: 11.0}
"""The same of a beat of three eighths."""
SYNCOPATED = 3.0
"""How much rarer a sixteenth, an eighth and a sixteenth are than other sixteenths; a triplet sounds almost so."""
QUARTERS = {Fraction(1, 4), Fraction(3, 4)}
SHIFTED = 3.0
"""How much rarer it is that beats do not begin with the file's quarter notes."""
SPREADS = (0.003, 0.01, 0.02, 0.03, 0.045, 0.06, 0.08)
"""Standard deviations from the grid, in quarter notes."""
EXACT = 0.01
"""A spread up to this is a machine's: then the ends of notes mean what they say, too."""
EIGHTH = Fraction(1, 2)
SIXTEENTH = Fraction(1, 4)
TWELFTH = Fraction(1, 12)
"""A twelfth of a quarter note: what sixteenths and triplets have in common."""
REST = 0.375
"""Shortest gap that is a rest where a person played, in quarter notes; in exact files EXACT_REST is."""
EXACT_REST = 0.2
DETACHED = 0.85
"""A note that sounds for less than this share of the usual one's part of the time to the next note has a rest after it.
"""
SWING = (0.56, 0.72)
"""Where in the beat the second of two swung eighths lies: from hardly to somewhat more than two to one."""
SWUNG = 0.8
"""Share of the beats with two notes whose second lies there, where a voice is called swung."""
SWUNG_BEATS = 4
"""And at least so many of them."""


class WrittenNote(NamedTuple):
    """Times are in quarter notes from the beginning of the file."""

    start: Fraction
    end: Fraction
    pitch: int
    velocity: int


@dataclass(frozen=True)
class Quantised:
    notes: tuple[WrittenNote, ...]
    """In order; none begins before the one before it ends, and each lasts."""
    deviation: float
    """Root mean square of what the starts were moved by, in quarter notes."""
    swing: float
    """Share of the beat that the first of two even eighths took; 0.5 is straight."""


class _Fit(NamedTuple):
    """A beat's notes on one of its divisions."""

    rarity: float
    squares: float
    """Sum of the squared distances from the division, in quarter notes."""
    places: tuple[Fraction, ...]
    """Where the notes are written, in beats from the beginning of the file."""


class _Fitted(NamedTuple):
    """All notes on their beats' divisions."""

    cost: float
    first: Fraction
    places: tuple[Fraction, ...]
    """In quarter notes."""
    spread: float
    deviation: float
    swing: float


def quantised(notes: Sequence[PlayedNote], compound: bool) -> Quantised:
    """The notes as they are written. compound: a beat has three eighths, not two."""
    beat = Fraction(3, 2) if compound else Fraction(1)
    # A file may begin with a pickup of a sixteenth, so that its beats are not where its quarter notes are.
    fits = [_fitted(notes, beat, first) for first in (Fraction(number, 4) for number in range(int(4 * beat)))]
    best = min(fits, key=lambda fit: fit.cost + (SHIFTED if fit.first else 0))
    starts: list[Fraction] = []
    for place in best.places:
        # What was played just before a beat and just after it may both be nearest to it.
        starts.append(max(place, starts[-1] + SIXTEENTH) if starts and place <= starts[-1] else place)
    return Quantised(tuple(_with_ends(notes, starts, best.spread)), best.deviation, best.swing)


def _fitted(notes: Sequence[PlayedNote], beat: Fraction, first: Fraction) -> _Fitted:
    """The notes on the divisions of beats of which one begins at `first`, in quarter notes."""
    beats = [
        (index, [(note.start - float(first)) / float(beat) - index for note in group])
        for index, group in groupby(notes, key=lambda note: math.floor((note.start - float(first)) / float(beat)))
    ]
    compound = beat != 1
    swing = 0.5 if compound else _swing([offsets for _, offsets in beats])
    fits = [_fits(index, offsets, COMPOUND if compound else SIMPLE, swing, beat) for index, offsets in beats]
    cost, spread, chosen = _likeliest(fits, len(notes))
    places = tuple(first + beat * place for fit in chosen for place in fit.places)
    return _Fitted(cost, first, places, spread, math.sqrt(sum(fit.squares for fit in chosen) / len(notes)), swing)


def _swing(beats: Sequence[Sequence[float]]) -> float:
    """Share of the beat that the first of two eighths takes, where they are swung; else 0.5."""
    seconds = [offsets[1] for offsets in beats if len(offsets) == 2 and offsets[0] < 0.2]
    swung = [second for second in seconds if SWING[0] <= second <= SWING[1]]
    return median(swung) if seconds and len(swung) >= SWUNG * len(seconds) and len(swung) >= SWUNG_BEATS else 0.5


def _fits(
    index: int, offsets: Sequence[float], divisions: Mapping[int, float], swing: float, beat: Fraction
) -> list[_Fit]:
    """The divisions of beat `index` on which each of its notes has a place of its own."""
    found = []
    grids = [
        (rarity, [(number / parts, Fraction(number, parts)) for number in range(parts + 1)])
        for parts, rarity in divisions.items()
    ]
    if swing != 0.5:
        grids.append((divisions[2], [(0.0, Fraction(0)), (swing, Fraction(1, 2)), (1.0, Fraction(1))]))
    for rarity, grid in grids:
        nearest = [min(grid, key=lambda point: abs(point[0] - offset)) for offset in offsets]
        if all(first[1] < second[1] for first, second in pairwise(nearest)):
            squares = sum((point[0] - offset) ** 2 for point, offset in zip(nearest, offsets, strict=True))
            places = {place for _, place in nearest}
            if places >= QUARTERS and Fraction(1, 2) not in places:
                rarity += SYNCOPATED
            found.append(_Fit(rarity, squares * float(beat) ** 2, tuple(index + place for _, place in nearest)))
    # Where notes are too close for any division, they follow each other as fast as they can be written.
    crowded = tuple(index + Fraction(number, 4) for number in range(len(offsets)))
    return found or [_Fit(0.0, sum(offset**2 for offset in offsets), crowded)]


def _likeliest(fits: Sequence[Sequence[_Fit]], notes: int) -> tuple[float, float, list[_Fit]]:
    """How ill all beats are explained by the spread that explains them best, it, and what it makes of each."""

    def cost(fit: _Fit, spread: float) -> float:
        return fit.rarity + fit.squares / (2 * spread**2)

    def explained(spread: float) -> tuple[float, float, list[_Fit]]:
        chosen = [min(beat, key=lambda fit: cost(fit, spread)) for beat in fits]
        return sum(cost(fit, spread) for fit in chosen) + notes * math.log(spread), spread, chosen

    return min((explained(spread) for spread in SPREADS), key=lambda found: found[0])


def _with_ends(notes: Sequence[PlayedNote], starts: Sequence[Fraction], spread: float) -> Iterator[WrittenNote]:
    """The notes with their lengths: up to the next note, or to a rest where the note is much shorter than usual."""
    shares = [(note.end - note.start) / (after.start - note.start) for note, after in pairwise(notes)]
    usual = min(median(shares), 1.0) if shares else 1.0
    meant = spread <= EXACT and usual > 1 - EXACT  # nothing is played detached, so that every gap is a rest
    grid, rest = (TWELFTH, EXACT_REST) if meant else (SIXTEENTH, REST)

    def lasting(note: PlayedNote, grid: Fraction) -> Fraction:
        return max(grid * round((note.end - note.start) / usual / float(grid)), grid)

    for index, (note, start) in enumerate(zip(notes, starts, strict=True)):
        sounding = note.end - note.start
        if index + 1 == len(notes):
            # It ends where sixteenths do, so that a bar can be filled after it.
            end = SIXTEENTH * max(
                round((start + lasting(note, TWELFTH if meant else EIGHTH)) / SIXTEENTH), start // SIXTEENTH + 1
            )
        else:
            room = notes[index + 1].start - note.start
            end = starts[index + 1]
            if room - sounding >= rest and (meant or sounding < DETACHED * usual * room):
                end = min(end, start + lasting(note, grid))
        yield WrittenNote(start, end, note.pitch, note.velocity)
