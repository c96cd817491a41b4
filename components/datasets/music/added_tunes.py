"""Tunes of printed collections as further training tunes: converted, typed, and without what is held out."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from components.datasets.music.dialect import DROPPED, DroppedTune, convert
from components.datasets.music.near_duplicates import HeldOut, shingles
from components.datasets.music.params import MusicDatasetParams
from components.datasets.music.printed_collections import CODES, PrintedTune, read_collections
from components.datasets.music.tune_headers import title, tune_type

RULES = {
    "limit": "left out with the parameter datasets.music.limit",
    **DROPPED,
    "character": "a character that no tune of the lab's own collection has",
    "held_out": "shares more of its melody with a validation or test tune than near_duplicate says, in whatever key",
    "held_out_title": "the title of a validation or test tune: perhaps a version of it that shares less",
    "copy": "the same melody, in whatever key, as an earlier tune of the collections or a training tune",
}
"""Why a tune of a collection may be dropped, in the order in which the rules are asked."""

EXAMPLES = 10
"""Pairs above and below the limit of near-duplicates that the report shows."""


class AddedTune(NamedTuple):
    """A training tune from a collection."""

    printed: PrintedTune
    text: str
    doubled: bool


class Neighbour(NamedTuple):
    """A converted tune and the held-out tune that shares most of its melody."""

    place: str
    title: str
    held_out: str
    share: float


class _HeldOutAndKnown:
    """What a printed tune must not repeat."""

    def __init__(self, own: Mapping[str, Mapping[str, str]], limit: float) -> None:
        """own: texts by split and id. limit: share of common melody from which a tune is another's version."""
        held_out = {**own["validation"], **own["test"]}
        self.limit, self.finder = limit, HeldOut(held_out)
        self.titles = {name: _title(text) for name, text in held_out.items()}
        self.letters = set(map(_letters, self.titles.values()))
        self.melodies = {shingles(text) for text in own["train"].values()}
        self.neighbours: list[Neighbour] = []

    def check(self, tune: AddedTune) -> None:
        """Notes down the tune and its nearest held-out one. Raises DroppedTune where it repeats something."""
        melody, name = shingles(tune.text), _title(tune.text)
        nearest, share = self.finder.nearest(melody)
        self.neighbours.append(Neighbour(tune.printed.place, name, self.titles.get(nearest, ""), round(share, 3)))
        copy = bool(melody) and melody in self.melodies
        self.melodies.add(melody)
        if share >= self.limit:
            raise DroppedTune("held_out")
        if _letters(name) in self.letters:
            raise DroppedTune("held_out_title")
        if copy:
            raise DroppedTune("copy")


def add_tunes(
    raw: Path, params: MusicDatasetParams, own: Mapping[str, Mapping[str, str]], vocabulary: set[str]
) -> tuple[list[AddedTune], dict[str, Any]]:
    """The tunes to add to the training split, and the report's section about them.

    own: texts of the lab's own tunes by split and id. Raises UserError where the archive is missing or damaged.
    """
    printed = read_collections(raw, params.collections)
    known = _HeldOutAndKnown(own, params.near_duplicate)
    kept: list[AddedTune] = []
    dropped: dict[str, list[PrintedTune]] = {rule: [] for rule in RULES}
    for tune in printed:
        try:
            if params.limit:  # a small slice is of the lab's own tunes, and made in seconds
                raise DroppedTune("limit")
            added = _converted(tune, vocabulary)
            known.check(added)
            kept.append(added)
        except DroppedTune as rule:
            dropped[str(rule)].append(tune)
    return kept, _report(printed, kept, dropped, known.neighbours, params.near_duplicate)


def _converted(tune: PrintedTune, vocabulary: set[str]) -> AddedTune:
    found = convert(tune.text)
    kind = tune_type(tune, found.metre)
    header = f"X:{tune.ordinal}\nT:{title(tune)}\nZ: id:{CODES[tune.collection]}-{kind}-{tune.ordinal}"
    text = f"{header}\nM:{found.metre}\nL:1/8\nK:{found.key}\n{found.music}"
    if not set(text) <= vocabulary:
        raise DroppedTune("character")
    return AddedTune(tune, text, found.doubled)


def _letters(title: str) -> str:
    return re.sub("[^a-z]", "", title.lower().removesuffix(" no. 1").removesuffix(" no. 2"))


def _title(text: str) -> str:
    match = re.search("^T:(.*)$", text, re.MULTILINE)
    return match[1].strip() if match else ""


def _report(
    printed: Sequence[PrintedTune],
    kept: Sequence[AddedTune],
    dropped: Mapping[str, Sequence[PrintedTune]],
    neighbours: Sequence[Neighbour],
    limit: float,
) -> dict[str, Any]:
    ordered = sorted(neighbours, key=lambda neighbour: neighbour.share)
    above = [neighbour._asdict() for neighbour in ordered if neighbour.share >= limit]
    below = [neighbour._asdict() for neighbour in ordered if neighbour.share < limit]
    types = Counter(re.search("id:[a-z]+-([a-z]+)-", tune.text)[1] for tune in kept)  # type: ignore[index]
    return {
        "tunes": dict(Counter(tune.collection for tune in printed)),
        "kept": dict(Counter(tune.printed.collection for tune in kept)),
        "doubled": sum(tune.doubled for tune in kept),
        "types": dict(types.most_common()),
        "dropped": {
            rule: {"why": why, "count": len(dropped[rule]), "tunes": [tune.place for tune in dropped[rule]]}
            for rule, why in RULES.items()
        },
        "near_duplicates": {
            "limit": limit,
            "shares": _histogram([neighbour.share for neighbour in neighbours]),
            "just_above": above[:EXAMPLES],
            "just_below": below[-EXAMPLES:],
        },
    }


def _histogram(shares: Sequence[float]) -> dict[str, int]:
    """Tunes by the twentieth that their largest share falls into."""
    counts = Counter(min(19, int(share * 20)) for share in shares)
    return {f"{place / 20:.2f}": counts.get(place, 0) for place in range(20)}
