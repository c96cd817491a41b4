"""What can be asked of a tune, and how it is written into the tune's header.

Types and metres can be asked for that training tunes have together often enough to be learned.

Keys are not among them: the model writes any with up to seven sharps or flats as well as those that it has read.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from components.datasets.music.abc_notation import parse_tune
from components.errors import UserError

MUSIC_LINE = 6
"""Where the music starts, in every tune of the collection: X, T, Z, M, L and K come first, in this order."""

SPELLINGS = {"4/4": "C"}
"""Metres that may be asked for by another name than most training tunes call them."""


@dataclass(frozen=True)
class Conditions:
    """What a tune is asked to be; "" where anything will do."""

    key: str = ""
    metre: str = ""
    type: str = ""
    title: str = ""
    start: str = ""
    """ABC that the tune begins with, where it begins with a header, and that its music begins with otherwise."""

    @property
    def beginning(self) -> str:
        """The start, where it is the beginning of the whole tune."""
        return self.start if begins_with_header(self.start) else ""


@dataclass(frozen=True)
class Options:
    """What a model can be asked for. From a music bundle's spec."""

    types_by_metre: Mapping[str, Mapping[str, int]]
    """Metre to type of tune to how many training tunes are of that type in that metre."""

    @classmethod
    def of_tunes(cls, texts: Iterable[str], min_tunes: int) -> Self:
        """min_tunes: training tunes that a type in a metre must have to be offered."""
        types: dict[str, Counter[str]] = {}
        for tune in map(parse_tune, texts):
            metre = tune.headers.get("M", "")
            if tune.metre and tune.type:
                types.setdefault(SPELLINGS.get(metre, metre), Counter())[tune.type] += 1
        often = {metre: _often(counts, min_tunes) for metre, counts in sorted(types.items())}
        return cls({metre: counts for metre, counts in often.items() if counts})

    @classmethod
    def of_spec(cls, spec: Mapping[str, Any]) -> Self:
        """Raises UserError when a bundle's spec has none: it was exported before they were written down."""
        try:
            # A manifest's keys are in order of the alphabet.
            return cls({metre: _often(counts, 1) for metre, counts in sorted(spec["types_by_metre"].items())})
        except KeyError:
            raise UserError(
                "this music bundle does not say which types of tune go with which metre (spec.types_by_metre): an "
                "older version exported it; export the model again"
            ) from None

    @property
    def metres(self) -> tuple[str, ...]:
        others = (metre for metre, usual in SPELLINGS.items() if usual in self.types_by_metre)
        return (*self.types_by_metre, *others)

    @property
    def types(self) -> tuple[str, ...]:
        """Most common first."""
        counts: Counter[str] = Counter()
        for found in self.types_by_metre.values():
            counts.update(found)
        return tuple(_often(counts, 1))

    def types_in(self, metre: str) -> Mapping[str, int]:
        """What types there are in a metre, and how many tunes of each; empty for a metre that is not offered."""
        return self.types_by_metre.get(SPELLINGS.get(metre, metre), {})

    def draw_type(self, metre: str, seed: int) -> str:
        """One of the metre's types, as often as training tunes have it; the same for the same tune's seed."""
        types = self.types_in(metre)
        counts = np.array(list(types.values()))
        # Not the tune's own stream of random numbers, which chooses its characters.
        return str(np.random.default_rng([seed, 1]).choice(list(types), p=counts / counts.sum()))

    def draw_metre(self, metres: Sequence[str], seed: int, type: str = "") -> str:
        """One of these, as often as training tunes, or those of the type, have it; "" where there are none."""
        counts = np.array(
            [self.types_in(metre)[type] if type else sum(self.types_in(metre).values()) for metre in metres]
        )
        if not len(counts):
            return ""
        return str(np.random.default_rng([seed, 2]).choice(metres, p=counts / counts.sum()))

    def forced_lines(self, conditions: Conditions, seed: int) -> dict[int, str]:
        """What lines (from 0) begin with, so that the tune is as asked; the model writes the rest.

        The type is written before the metre. Where only a metre is asked for, a type that goes with it is drawn:
        the model would choose one that it has hardly seen in that metre.
        """
        if conditions.beginning:
            return {0: conditions.beginning}
        type, metre = conditions.type, conditions.metre
        if not type and self.types_in(metre):
            type = self.draw_type(metre, seed)
        lines = {
            1: f"T:{conditions.title}\n" if conditions.title else "",
            2: f"Z: id:dc-{type}-" if type else "",
            3: f"M:{metre}\n" if metre else "",
            5: f"K:{conditions.key}\n" if conditions.key else "",
            MUSIC_LINE: conditions.start,
        }
        return {line: text for line, text in lines.items() if text}


def begins_with_header(start: str) -> bool:
    """Whether it begins a tune, rather than its music: a note before a repeat sign (`A:|`) is no header."""
    return start[1:2] == ":" and start[0].isalpha() and start[2:3] not in ("|", ":")


def _often(counts: Mapping[str, int], least: int) -> dict[str, int]:
    """Those that are counted often enough, most common first."""
    return {
        name: count for name, count in sorted(counts.items(), key=lambda item: (-item[1], item[0])) if count >= least
    }
