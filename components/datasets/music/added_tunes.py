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


def add_tunes(
    raw: Path, params: MusicDatasetParams, own: Mapping[str, Mapping[str, str]], vocabulary: set[str]
) -> tuple[list[AddedTune], dict[str, Any]]:
    """The tunes to add to the training split, and the report's section about them.

    own: texts of the lab's own tunes by split and id. Raises UserError where the archive is missing or damaged.
    """
    printed = read_collections(raw, params.collections)
    held_out = HeldOut({**own["validation"], **own["test"]})
    titles = {name: _title(text) for split in ("validation", "test") for name, text in own[split].items()}
    held_out_titles = set(map(_letters, titles.values()))
    known = {shingles(text) for text in own["train"].values()}
    kept: list[AddedTune] = []
    dropped: dict[str, list[PrintedTune]] = {rule: [] for rule in RULES}
    neighbours: list[Neighbour] = []
    for tune in printed:
        if params.limit:  # a small slice is of the lab's own tunes, and made in seconds
            dropped["limit"].append(tune)
            continue
        try:
            added = _converted(tune, vocabulary)
        except DroppedTune as rule:
            dropped[str(rule)].append(tune)
            continue
        melody = shingles(added.text)
        name, share = held_out.nearest(melody)
        neighbours.append(Neighbour(tune.place, _title(added.text), titles.get(name, ""), round(share, 3)))
        if share >= params.near_duplicate:
            dropped["held_out"].append(tune)
        elif _letters(_title(added.text)) in held_out_titles:
            dropped["held_out_title"].append(tune)
        elif melody and melody in known:
            dropped["copy"].append(tune)
        else:
            kept.append(added)
        known.add(melody)
    return kept, _report(printed, kept, dropped, neighbours, params.near_duplicate)


def _converted(tune: PrintedTune, vocabulary: set[str]) -> AddedTune:
    found = convert(tune.text)
    kind = tune_type(tune, found.metre)
    header = f"X:{tune.index}\nT:{title(tune)}\nZ: id:{CODES[tune.collection]}-{kind}-{tune.index}"
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
