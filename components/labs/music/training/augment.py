"""Augmentation of training tunes: other keys, other tunes' headers, and control codes of their form."""

import random
import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from components.datasets.music.form_reader import Form, music_start
from components.labs.music.params import Train
from components.labs.music.training.transpose import TranspositionError, between, is_key, mode, pitches, transpose

LOWEST, HIGHEST = 0, 23  # C to b: what whistle, fiddle and flute players write; semitones above middle C
KIND = re.compile(r"^Z:\s*(?:id:)?(.*?)-\d", re.MULTILINE)  # where a tune is from, and what it is: dc-reel-12
GIVEN = "\0"
"""Stands around what the model reads, and is not to write."""
NUMBER = re.compile(r"^(X: *|Z:.*-)(\d+)$", re.MULTILINE)


class Augmentation:
    """Draws variants of training tunes, from training tunes only."""

    def __init__(
        self,
        tunes: Sequence[str],
        vocabulary: Sequence[str],
        params: Train,
        added: Sequence[str] = (),
        forms: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        """added: tunes of other collections, which are moved to the keys of `tunes`. forms: lines of forms, by text."""
        self.params = params
        self.tunes = (*tunes, *added)
        self.keys = Counter(key for tune in tunes if (key := field(tune, "K")) and is_key(key))
        self.alphabet = set(vocabulary)
        self._variants: dict[int, dict[str, int]] = {}
        self._forms = [Form.of_line(forms[tune]) if tune in forms else None for tune in self.tunes]
        self.alike: dict[str, list[str]] = defaultdict(list)
        for tune in self.tunes:
            self.alike[kind(tune)].append(tune)

    def draw(self, index: int, rng: random.Random) -> str:
        """Training tune `index`, in a key drawn as often as tunes of its mode have it, perhaps with other headers, and
        perhaps with the codes of its form, which is the same in every key."""
        variants = self.variants_of(index)
        (tune,) = rng.choices(list(variants), list(variants.values()))
        if rng.random() < self.params.header_shuffle:
            tune = with_header(tune, rng.choice(self.alike[kind(tune)]))
        jitter = self.params.number_jitter
        tune = renumbered(tune, rng.randint(-jitter, jitter))
        form = self._forms[index]
        return with_codes(tune, form) if form and rng.random() < self.params.form_share else tune

    def variants_of(self, index: int) -> dict[str, int]:
        """Training tune `index` in every key, and how often each is drawn. Made once: most of it is transposing."""
        if index not in self._variants:
            tune = self.tunes[index]
            in_keys = in_other_keys(tune, self.keys, self.alphabet) if self.params.transpose else {tune: 1}
            self._variants[index] = in_keys
        return self._variants[index]


def in_other_keys(tune: str, keys: Counter[str], alphabet: set[str]) -> dict[str, int]:
    """The tune in each of `keys` that has its mode, and how often that key occurs. The tune itself is the first.

    A key is left out where it cannot be written with the alphabet, or leads out of the range further than the tune is.
    A tune in none of `keys` is drawn as it is only where it has no other.
    """
    own = field(tune, "K")
    variants = {tune: keys[own]}
    found = pitches(tune) if is_key(own) else []
    if not found:
        return {tune: 1}
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
    return variants if any(variants.values()) else {tune: 1}


def with_codes(tune: str, form: Form) -> str:
    """The tune with the codes that a model reads when it writes a tune of this form; GIVEN stands around each."""
    start = music_start(tune)
    lines = tune[start:].split("\n")
    coded = [f"{GIVEN}{code}{GIVEN}{line}" for code, line in zip(form.codes, lines, strict=False)]
    return f"{GIVEN}{form.head}{GIVEN}{tune[:start]}" + "\n".join([*coded, *lines[len(coded) :]])


def with_header(tune: str, other: str) -> str:
    """The tune under the number, title and source of another one, which belong together: titles are in order."""
    for name in "XTZ":
        line = field(other, name, whole=True)
        if line:
            tune = re.sub(rf"^{name}:.*$", line.replace("\\", r"\\"), tune, count=1, flags=re.MULTILINE)
    return tune


def renumbered(tune: str, by: int) -> str:
    """The tune with the number of its X: and Z: fields moved; the two run through the collection side by side."""
    return NUMBER.sub(lambda match: match[1] + str(max(1, int(match[2]) + by)), tune)


def field(tune: str, name: str, whole: bool = False) -> str:
    """Value of a tune's first field of that name, or its `whole` line; empty where there is none."""
    match = re.search(rf"^{name}:[ \t]*(.*?)[ \t]*$", tune, re.MULTILINE)
    return match[0 if whole else 1] if match else ""


def kind(tune: str) -> str:
    """Collection and type of a tune by its Z: field ("dc-reel", "on-jig", ...), else its metre."""
    match = KIND.search(tune)
    return match[1] if match else field(tune, "M")


def _outside(found: Sequence[int], semitones: int) -> int:
    """By how many semitones, below and above together, moved notes leave the range."""
    return max(0, LOWEST - min(found) - semitones) + max(0, max(found) + semitones - HIGHEST)
