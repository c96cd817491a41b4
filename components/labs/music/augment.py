"""Other tunes that a tune could have been: in another key, under another tune's headers."""

import random
import re
from collections import Counter, defaultdict
from collections.abc import Sequence

from components.labs.music.params import Train
from components.labs.music.transpose import TranspositionError, between, is_key, mode, pitches, transpose

LOWEST, HIGHEST = 0, 23  # C to b: what whistle, fiddle and flute players write; semitones above middle C
KIND = re.compile(r"^Z:.*?([a-z]+)-\d", re.MULTILINE)  # the collection's number says what a tune is: dc-reel-12


class Augmentation:
    """Draws a variant of a training tune. Knows training tunes only."""

    def __init__(self, tunes: Sequence[str], vocabulary: Sequence[str], params: Train) -> None:
        self.params = params
        keys = Counter(key for tune in tunes if (key := field(tune, "K")) and is_key(key))
        alphabet = set(vocabulary)
        self.variants = [in_other_keys(tune, keys, alphabet) if params.transpose else {tune: 1} for tune in tunes]
        self.alike: dict[str, list[str]] = defaultdict(list)
        for tune in tunes:
            self.alike[kind(tune)].append(tune)

    def draw(self, index: int, random: random.Random) -> str:
        """Training tune `index`, in a key drawn as often as tunes of its mode have it, perhaps with other headers."""
        variants = self.variants[index]
        (tune,) = random.choices(list(variants), list(variants.values()))
        if random.random() < self.params.header_shuffle:
            alike = self.alike[kind(tune)]
            tune = with_fields(tune, random.choice(alike), "T")
            tune = with_fields(tune, random.choice(alike), "XZ")  # both count up through the collection
        return tune


def in_other_keys(tune: str, keys: Counter[str], alphabet: set[str]) -> dict[str, int]:
    """The tune in each of `keys` that has its mode, and how often that key occurs. The tune itself is the first.

    A key is left out where it cannot be written with the alphabet, or leads out of the range further than the tune is.
    """
    own = field(tune, "K")
    variants = {tune: keys[own] or 1}
    found = pitches(tune) if own in keys else []
    if not found:
        return variants
    for key, count in keys.items():
        if key == own or mode(key) != mode(own):
            continue
        nearest = min(between(own, key), key=lambda by: (_outside(found, by.semitones), abs(by.semitones)))
        if _outside(found, nearest.semitones) > _outside(found, 0) + 2:
            continue
        try:
            moved = transpose(tune, nearest)
        except TranspositionError:
            continue
        if set(moved) <= alphabet:
            variants[moved] = count
    return variants


def with_fields(tune: str, other: str, names: str) -> str:
    """The tune with header fields taken from another tune, where both have them."""
    for name in names:
        theirs = field(other, name, whole=True)
        if theirs:
            tune = re.sub(rf"^{name}:.*$", lambda _, line=theirs: line, tune, count=1, flags=re.MULTILINE)  # type: ignore[misc]
    return tune


def field(tune: str, name: str, whole: bool = False) -> str:
    """Value of a tune's first field of that name, or its `whole` line; empty where there is none."""
    match = re.search(rf"^{name}:[ \t]*(.*?)[ \t]*$", tune, re.MULTILINE)
    return match[0 if whole else 1] if match else ""


def kind(tune: str) -> str:
    """Type of tune by its Z: field ("reel", "jig", ...), else its metre."""
    match = KIND.search(tune)
    return match[1] if match else field(tune, "M")


def _outside(found: Sequence[int], semitones: int) -> int:
    """By how many semitones, below and above together, moved notes leave the range."""
    return max(0, LOWEST - min(found) - semitones) + max(0, max(found) + semitones - HIGHEST)
