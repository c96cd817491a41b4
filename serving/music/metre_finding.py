"""Which metre a melody is in and where its first bar begins, where the MIDI file does not say.

Long and loud notes come back with the beat and the bar: the metre is taken for which the autocorrelation of these
accents is highest at the lags of its beat and its bar.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction

import numpy as np

from serving.music.quantisation import WrittenNote

STEP = Fraction(1, 4)
"""Quarter notes of a step in which accents are counted."""
LONGEST = 2.0
"""Quarter notes: a longer note is no stronger accent."""
LOUD = 40.0
"""Difference of MIDI's velocities that weighs as much as a quarter note."""
LAGS: Mapping[str, tuple[Fraction, ...]] = {
    "C": (Fraction(1), Fraction(2), Fraction(4)),
    "3/4": (Fraction(1), Fraction(3)),
    "6/8": (Fraction(3, 2), Fraction(3)),
    "9/8": (Fraction(3, 2), Fraction(9, 2)),
}
"""Quarter notes of the beats and the bar of each metre that is told from the others."""
PRIOR: Mapping[str, float] = {"C": 0.05, "3/4": -0.05, "6/8": 0.0, "9/8": -0.02}
"""Added to the mean autocorrelation: training tunes are in C far more often than in 3/4."""

EIGHTH_STEPS = 2
"""Steps of an eighth: a pickup is so many, or some of them."""
LEAST_BARS = 4
"""A shorter melody does not show where its bars begin."""
ACCENT = 10
"""Difference of MIDI's velocities: where notes are about equally loud, their lengths alone mislead too often."""
CLEARLY = 0.3
"""How much stronger than the first note's place in the bar another must be, to be where bars begin."""


def find_metre(notes: Sequence[WrittenNote], metres: Sequence[str]) -> str:
    """The likeliest of the metres that can be asked for."""
    signal = accents(notes)
    scores = {
        metre: float(np.mean([_autocorrelation(signal, int(lag / STEP)) for lag in lags])) + PRIOR[metre]
        for metre, lags in LAGS.items()
        if metre in metres
    }
    return max(scores, key=lambda metre: scores[metre], default=metres[0])


def accents(notes: Sequence[WrittenNote]) -> np.ndarray:
    """How strong the note is that begins at each step from the first note on; 0 where none does."""
    first = notes[0].start
    lengths = np.minimum([float(note.end - note.start) for note in notes], LONGEST)
    loud = np.array([note.velocity for note in notes], float)
    strength = lengths + (loud - loud.min()) / LOUD
    steps = [int((note.start - first) / STEP) for note in notes]
    signal = np.zeros(steps[-1] + 1)
    np.maximum.at(signal, steps, strength)
    return signal


def _autocorrelation(signal: np.ndarray, lag: int) -> float:
    centred = signal - signal.mean()
    power = float(centred @ centred)
    return float(centred[lag:] @ centred[:-lag]) / power if lag < len(signal) and power else 0.0


def find_pickup(notes: Sequence[WrittenNote], bar: Fraction) -> Fraction:
    """Quarter notes before the first whole bar: where bars begin with the strongest notes. 0 unless it is clear.

    bar: its length in quarter notes.
    """
    signal = accents(notes)
    steps = int(bar / STEP)
    loud = [note.velocity for note in notes]
    if max(loud) - min(loud) < ACCENT or len(signal) < LEAST_BARS * steps:
        return Fraction(0)
    strengths = {phase: float(signal[phase::steps].mean()) for phase in range(0, steps, EIGHTH_STEPS)}
    best = max(strengths, key=lambda phase: strengths[phase])
    return best * STEP if strengths[best] > strengths[0] + CLEARLY else Fraction(0)
