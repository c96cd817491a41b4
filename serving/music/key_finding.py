"""Which key a melody is in, over the modes that the lab's collection has.

As in the Krumhansl-Schmuckler algorithm, how long each of the twelve pitches sounds is compared with a profile of each
key (C. L. Krumhansl, Cognitive Foundations of Musical Pitch, Oxford University Press 1990, chapter 4). The profiles
are not the ratings that Krumhansl and Kessler measured for major and minor, but the shares of the sounding time that
the scale's pitches have in the collection's training tunes, and they are compared by their likelihood (D. Temperley,
Music and Probability, MIT Press 2007): dance tunes are modal, and leave out pitches that classical listeners expect.
docs/music.md has both figures.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from components.datasets.music.music_theory import key_signature
from serving.music.quantisation import WrittenNote

PROFILES: Mapping[str, tuple[float, ...]] = {
    "Major": (0.249, 0.0, 0.145, 0.0, 0.185, 0.067, 0.002, 0.179, 0.0, 0.103, 0.003, 0.066),
    "Minor": (0.229, 0.002, 0.13, 0.173, 0.0, 0.138, 0.001, 0.167, 0.035, 0.005, 0.12, 0.002),
    "Dorian": (0.262, 0.0, 0.142, 0.081, 0.003, 0.121, 0.0, 0.174, 0.001, 0.034, 0.181, 0.002),
    "Mixolydian": (0.237, 0.0, 0.12, 0.002, 0.122, 0.145, 0.001, 0.191, 0.0, 0.066, 0.094, 0.023),
}
"""Share of the time of each pitch above the tonic, in semitones, over the training tunes."""
SHARES: Mapping[str, float] = {"Major": 0.67, "Minor": 0.045, "Dorian": 0.18, "Mixolydian": 0.105}
"""Share of the training tunes that are in each mode."""
UNSEEN = 0.01
"""Added to each share of the time: a pitch that is not in the scale is rare, and not impossible."""
INDEPENDENT = 40
"""How many notes of a melody tell something of their own about its key."""
LAST_NOTE = 1.0
"""What a melody that ends on the tonic adds to the logarithm of the likelihood: most of the tunes do."""
TONICS = [f"{letter}{sign}" for letter in "CDEFGAB" for sign in ("", "#", "b")]


def find_key(notes: Sequence[WrittenNote], sharps: int | None = None) -> str:
    """Such as D Mixolydian. sharps: of the key signature, flats negative, where it is known."""
    durations = np.zeros(12)
    for note in notes:
        durations[note.pitch % 12] += float(note.end - note.start)
    shares, last = durations / durations.sum(), notes[-1].pitch % 12
    return max(_keys(sharps), key=lambda key: _log_likelihood(shares, last, key))


def tonic(key: str) -> int:
    """Semitones above C."""
    natural = dict(zip("CDEFGAB", (0, 2, 4, 5, 7, 9, 11), strict=True))[key[0]]
    return (natural + {"#": 1, "b": -1}.get(key[1:2], 0)) % 12


def _keys(sharps: int | None) -> Iterable[str]:
    """The keys of a signature; of any, those of each tonic with the fewest sharps or flats."""
    found: dict[tuple[int, str], tuple[int, str]] = {}
    for mode in PROFILES:
        for name in TONICS:
            key = f"{name} {mode}"
            signature = key_signature(key)
            if signature is None or (sharps is not None and sum(signature.values()) != sharps):
                continue
            each = (len(signature), key)
            found[tonic(key), mode] = min(found.get((tonic(key), mode), each), each)
    return [key for _, key in found.values()]


def _log_likelihood(shares: np.ndarray, last: int, key: str) -> float:
    mode = key.split()[1]
    profile = np.roll(PROFILES[mode], tonic(key)) + UNSEEN
    ends = LAST_NOTE if last == tonic(key) else 0.0
    return INDEPENDENT * float(shares @ np.log(profile)) + ends + float(np.log(SHARES[mode]))
