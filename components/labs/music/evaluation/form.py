"""The form of tunes that were written, beside real ones: parts, bars of a part, and bars that a tune has had before."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple, Self

import numpy as np

from components.datasets.music.abc_notation import parse_tune
from components.datasets.music.form import find_form
from components.datasets.music.form_reader import NEW, Form
from components.labs.music import params
from components.labs.music.evaluation.histograms import HISTOGRAMS, Tune
from components.labs.music.evaluation.success import Success, request
from components.labs.music.runtime.acceptance import CheckedTune, generate_checked
from components.labs.music.runtime.conditioning import Conditions, Options, form_of
from components.labs.music.runtime.model import TuneModel
from components.stats import jensen_shannon_distance

EIGHTS = 8
"""Bars: a part of a dance has as many, or a multiple."""

GENERATED, REAL, TRAINING = "written by the model", "real, held out", "real, training"
"""Sources of tunes."""

AGAIN = "repeated_bars"
"""The histogram of the bars that a tune has had before."""


class Forms(NamedTuple):
    """The forms of some tunes."""

    tunes: int
    shapes: Counter[str]
    """Bars of each part, by `shape`; tunes that are odd have none."""
    eights: int
    """Tunes all of whose parts have 8, 16, ... bars."""
    again: Counter[str | int]
    """Tenths of a tune's bars that it has had before."""

    @classmethod
    def of(cls, tunes: Sequence[Tune]) -> Self:
        found = [form for tune in tunes if (form := find_form(parse_tune(tune.text)))]
        return cls(
            tunes=len(tunes),
            shapes=Counter(map(shape, found)),
            eights=sum(all(part.bars % EIGHTS == 0 for part in form.parts) for form in found),
            again=Counter(value for tune in tunes for value in HISTOGRAMS[AGAIN](tune)),
        )

    @property
    def regular_rate(self) -> float:
        """Share of tunes all of whose parts have 4, 8, 12 or 16 bars, pickup and end together one of them."""
        return self.rate(self.shapes.total())

    @property
    def eights_rate(self) -> float:
        return self.rate(self.eights)

    def rate(self, count: int) -> float:
        """As a share of the tunes; 0 where there are none."""
        return count / max(1, self.tunes)


def shape(form: Form) -> str:
    """Bars of each part, and whether it is played twice: "2x8 + 8" is AAB."""
    return " + ".join(f"{'2x' if part.repeated else ''}{part.bars}" for part in form.parts)


def followed(tunes: Sequence[CheckedTune]) -> tuple[float, float]:
    """Shares of the tunes that were to have a form: of the tunes that have its parts, and of the bars of these that
    are new or again as it says. NaN where no tune was to have one."""
    asked = [(tune.form, find_form(parse_tune(tune.text))) for tune in tunes if tune.form]
    same = [(form, found) for form, found in asked if found and shape(form) == shape(found)]
    bars = [
        (said == NEW) == (has == NEW)
        for form, found in same
        for part, other in zip(form.parts, found.parts, strict=True)
        for said, has in zip(part.again, other.again, strict=True)
    ]
    return len(same) / len(asked) if asked else float("nan"), float(np.mean(bars)) if bars else float("nan")


def by_form(model: TuneModel, options: Options, params: params.Evaluate, most: int = 4) -> dict[str, Success]:
    """`params.requests` for each of the commonest forms whose parts are alike, by name ("form_2x8": two of 8 bars)."""
    counts: Counter[tuple[int, int]] = Counter()
    for line, count in options.forms_of(Conditions()).items():
        parts = form_of(line).parts if line else ()
        if len({part.bars for part in parts}) == 1:
            counts[len(parts), parts[0].bars] += count
    asked = [Conditions(parts=parts, bars=bars) for (parts, bars), _ in counts.most_common(most)]
    wanted = [(request(params, index), conditions) for conditions in asked for index in range(params.requests)]
    tunes = generate_checked(model, options, wanted, params.batch)
    return {
        f"form_{conditions.parts}x{conditions.bars}": Success.of(
            tunes[number * params.requests : (number + 1) * params.requests]
        )
        for number, conditions in enumerate(asked)
    }


def metrics(forms: Mapping[str, Forms], tunes: Sequence[CheckedTune]) -> dict[str, float]:
    """forms: of accepted tunes, whose bars were drawn again (GENERATED), and of real ones. tunes: all asked for.

    How forms are followed is left out where no tune has one.
    """
    parts, bars = followed(tunes)
    generated, real, training = forms[GENERATED], forms[REAL], forms[TRAINING]
    measured = {
        "regular_form_rate": generated.regular_rate,
        "regular_form_rate_real": real.regular_rate,
        "eights_rate": generated.eights_rate,
        "eights_rate_real": real.eights_rate,
        "checked_repeated_bars_js_distance": jensen_shannon_distance(generated.again, training.again),
        "repeated_bars_js_distance_real": jensen_shannon_distance(real.again, training.again),
        "form_followed_rate": parts,
        "bars_followed_rate": bars,
    }
    return {name: value for name, value in measured.items() if np.isfinite(value)}
