"""What is counted of requests for tunes, to see whether their starts are like the tunes that the model learned from.

A start may have any length, so its melody is described by its first notes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

from components.datasets.music.abc_standard import read_standard
from components.datasets.music.standard_fields import plain_key
from components.drift import Reference, numbers, uncounted, words

FIRST = 16
"""Notes of a start that are looked at; two bars of a reel. A shorter start has no melody here."""
KEY, EVENNESS, REPEATED, INTERVAL, LOWEST = "key", "evenness", "repeated_notes", "interval", "lowest_note"
START, TEMPERATURE = "start_length", "temperature"
LENGTHS = (25, 50, 100, 200, 400, 800, 1600)
TEMPERATURES = (0.5, 0.7, 0.9, 1.0, 1.05, 1.1)


def melody(start: str, key: str = "") -> dict[str, float | str]:
    """The features that a start in standard ABC has; none of its melody where it has fewer than FIRST notes.

    key: of the request, for a start without a header; "" where it names none.
    """
    tune = read_standard(f"K:{key}\n{start}" if key else start)
    found: dict[str, float | str] = {}
    if "K" in tune.headers and (named := plain_key(tune.headers["K"])):
        found[KEY] = named
    notes = [note for note in tune.notes if note.pitches][:FIRST]
    if len(notes) == FIRST:
        steps = [abs(max(after.pitches) - max(before.pitches)) for before, after in pairwise(notes)]
        found |= {
            EVENNESS: Counter(note.ticks for note in notes).most_common(1)[0][1],
            REPEATED: steps.count(0),
            INTERVAL: sum(steps) / len(steps),
            LOWEST: min(min(note.pitches) for note in notes),
        }
    return found


def features(start: str, key: str, temperature: float) -> dict[str, float | str]:
    """What is counted of a request. start, key: "" where it has none."""
    return {**melody(start, key), **({START: len(start)} if start else {}), TEMPERATURE: temperature}


def references(tunes: Sequence[str]) -> dict[str, Reference]:
    """What requests are compared with. tunes: texts of training and validation tunes.

    No feature asks the model, so tunes that it has learned from count like any other of the collection.
    """
    melodies = [melody(tune) for tune in tunes]
    of_feature = {name: [found[name] for found in melodies if name in found] for name in (KEY, *MELODY)}
    return {
        KEY: words([str(key) for key in of_feature[KEY]], "key that is asked for or that the start is in"),
        **{name: numbers(of_feature[name], about) for name, about in MELODY.items()},
        # Tunes have neither: what people ask for is counted, and compared with nothing.
        START: uncounted("characters of the start", LENGTHS),
        TEMPERATURE: uncounted("temperature of the request", TEMPERATURES),
    }


MELODY = {
    EVENNESS: f"notes of the commonest length, of the start's first {FIRST}",
    REPEATED: f"notes that repeat the one before, of the start's first {FIRST}",
    INTERVAL: f"mean step between the start's first {FIRST} notes, in semitones",
    LOWEST: f"lowest of the start's first {FIRST} notes, as MIDI numbers it",
}
