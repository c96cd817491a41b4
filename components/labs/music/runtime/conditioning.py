"""What can be asked of a tune, and how it is written into the tune's header.

Types and metres can be asked for that training tunes have together often enough to be learned.

Keys are not among them: the model writes any with up to seven sharps or flats as well as those that it has read.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Self

import numpy as np

from components.datasets.music.abc_notation import parse_tune
from components.datasets.music.form import coded_form
from components.datasets.music.form_reader import Form
from components.errors import UserError

MUSIC_LINE = 6
"""Where the music starts, in every tune of the collection: X, T, Z, M, L and K come first, in this order."""

SPELLINGS = {"4/4": "C"}
"""Metres that may be asked for by another name than most training tunes call them."""

FEW_FORMS = 8
"""Training tunes of a type with a form, below which the type is too few to draw from."""

FORMS_FOR_NONE = 5
"""Tunes with a form for each without one, at least: as in the whole collection."""


@dataclass(frozen=True)
class Conditions:
    """What a tune is asked to be; "" where anything will do."""

    key: str = ""
    metre: str = ""
    type: str = ""
    title: str = ""
    start: str = ""
    """ABC that the tune begins with, where it begins with a header, and that its music begins with otherwise."""
    parts: int = 0
    bars: int = 0
    """Bars of every part; 0 where any number will do, as for `parts`."""
    repeats: bool | None = None
    """Whether every part is played twice, or every part once."""

    @property
    def beginning(self) -> str:
        """The start, where it is the beginning of the whole tune."""
        return self.start if begins_with_header(self.start) else ""

    @property
    def of_form(self) -> bool:
        """Whether they ask for a form."""
        return bool(self.parts or self.bars or self.repeats is not None)

    def has_form(self, form: Form) -> bool:
        """Whether it is the form that is asked for."""
        return (
            (not self.parts or len(form.parts) == self.parts)
            and (not self.bars or all(part.bars == self.bars for part in form.parts))
            and (self.repeats is None or all(part.repeated == self.repeats for part in form.parts))
        )


@dataclass(frozen=True)
class Options:
    """What a model can be asked for. From a music bundle's spec."""

    types_by_metre: Mapping[str, Mapping[str, int]]
    """Metre to type of tune to how many training tunes are of that type in that metre."""
    forms: Mapping[str, Mapping[str, Mapping[str, int]]] = field(default_factory=dict)
    """Metre to type to form, as its line, to how many training tunes have it; "" is none that codes say. Empty for a
    model that reads no codes."""

    @classmethod
    def of_tunes(cls, texts: Iterable[str], min_tunes: int, forms: bool = True) -> Self:
        """min_tunes: training tunes that a type in a metre must have to be offered. forms: the model reads forms."""
        types: dict[str, Counter[str]] = {}
        found: dict[tuple[str, str], Counter[str]] = {}
        for text in texts:
            tune = parse_tune(text)
            metre = tune.headers.get("M", "")
            metre = SPELLINGS.get(metre, metre)
            if tune.metre and tune.type:
                types.setdefault(metre, Counter())[tune.type] += 1
                if forms:
                    form = coded_form(tune, text)
                    found.setdefault((metre, tune.type), Counter())[form.line if form else ""] += 1
        often = {metre: _often(counts, min_tunes) for metre, counts in sorted(types.items())}
        offered = {metre: counts for metre, counts in often.items() if counts}
        of_type = {
            metre: {type: _often(found[metre, type], 1) for type in counts if (metre, type) in found}
            for metre, counts in offered.items()
        }
        return cls(offered, {metre: counts for metre, counts in of_type.items() if counts})

    @classmethod
    def of_spec(cls, spec: Mapping[str, Any]) -> Self:
        """Raises UserError when a bundle's spec has none: it was exported before they were written down.

        A bundle without forms is of a model that reads none.
        """
        try:
            # A manifest's keys are in order of the alphabet.
            return cls(
                {metre: _often(counts, 1) for metre, counts in sorted(spec["types_by_metre"].items())},
                {
                    metre: {type: _often(counts, 1) for type, counts in sorted(types.items())}
                    for metre, types in sorted(spec.get("forms", {}).items())
                },
            )
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

    def draw_type(self, metre: str, seed: int, among: Container[str] = ()) -> str:
        """One of the metre's types, as often as training tunes have it; the same for the same tune's seed.

        among: only these, where there are any.
        """
        types = {type: count for type, count in self.types_in(metre).items() if not among or type in among}
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

    def forms_of(self, conditions: Conditions) -> dict[str, int]:
        """The forms that tunes of the metre and the type have, of those that are asked for, and how many have them.

        Where no form is asked for, a type with FEW_FORMS has those of its metre too, and at most every sixth tune has
        none: without one a tune seldom finds its end.
        """
        metre, type = SPELLINGS.get(conditions.metre, conditions.metre), conditions.type
        counts = self._forms_in(metre, type)
        if not conditions.of_form:
            if type and counts.total() - counts[""] < FEW_FORMS:
                counts = self._forms_in(metre, "")
            counts[""] = min(counts[""], (counts.total() - counts[""]) // FORMS_FOR_NONE)
            return +counts
        return {line: count for line, count in counts.items() if line and conditions.has_form(form_of(line))}

    def heads(self) -> list[str]:
        """What a model reads before a tune: a line for each that a form may have."""
        return sorted({form_of(line).head for line in self._forms_in("", "") if line})

    def _forms_in(self, metre: str, type: str) -> Counter[str]:
        """Forms of this metre and type, "" for any, and how many training tunes have them."""
        counts: Counter[str] = Counter()
        for types in (self.forms.get(metre, {}),) if metre else self.forms.values():
            for kind, forms in types.items():
                if type in ("", kind):
                    counts.update(forms)
        return counts

    def draw_form(self, forms: Mapping[str, int], seed: int) -> Form | None:
        """One of these, as often as they are counted; None for "", and where there are none."""
        if not forms:
            return None
        counts = np.array(list(forms.values()))
        line = list(forms)[int(np.random.default_rng([seed, 3]).choice(len(counts), p=counts / counts.sum()))]
        return form_of(line) if line else None

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


def in_words(conditions: Conditions) -> str:
    """The form that is asked for: "3 parts of 8 bars, each played twice"."""
    played = {True: "each played twice", False: "each played once", None: ""}[conditions.repeats]
    parts = f"{conditions.parts or 'any number of'} part{'s' * (conditions.parts != 1)}"
    return ", ".join(filter(None, [parts + (f" of {conditions.bars} bars" if conditions.bars else ""), played]))


def common_forms(forms: Mapping[str, int], most: int = 5) -> list[str]:
    """The commonest of these in words, without what comes again in them: "8 + 8 bars, each part played twice"."""
    counts: Counter[str] = Counter()
    for line, count in forms.items():
        if not line:
            continue
        form = form_of(line)
        times = {part.repeated for part in form.parts}
        played = (
            "some parts played twice" if len(times) > 1 else f"each played {'twice' if times == {True} else 'once'}"
        )
        counts[f"{' + '.join(str(part.bars) for part in form.parts)} bars, {played}"] += count
    return [words for words, _ in counts.most_common(most)]


def begins_with_header(start: str) -> bool:
    """Whether it begins a tune, rather than its music: a note before a repeat sign (`A:|`) is no header."""
    return start[1:2] == ":" and start[0].isalpha() and start[2:3] not in ("|", ":")


@lru_cache(4096)
def form_of(line: str) -> Form:
    """As of Form, in less time for one that was read before."""
    return Form.of_line(line)


def _often(counts: Mapping[str, int], least: int) -> dict[str, int]:
    """Those that are counted often enough, most common first."""
    return {
        name: count for name, count in sorted(counts.items(), key=lambda item: (-item[1], item[0])) if count >= least
    }
