"""Which written tunes count: the one rule, for evaluation and for the API.

A tune is accepted when it has come to its end, it is valid ABC, and it is what was asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from components.datasets.music import abc_notation
from components.datasets.music.form import find_form
from components.datasets.music.form_reader import Form
from components.labs.music.runtime.conditioning import Conditions, Options
from components.labs.music.runtime.model import TuneModel
from components.labs.music.runtime.prompt import as_checked, conditioned
from components.labs.music.runtime.request import Sample, TuneRequest
from components.labs.music.runtime.sampler import generate


@dataclass(frozen=True)
class CheckedTune:
    """A tune that was written for a request, and whether it counts."""

    sample: Sample
    problems: tuple[str, ...]
    """() for one that is accepted."""
    form: Form | None = None
    """What it was to have."""

    @property
    def text(self) -> str:
        return self.sample.text


def problems(sample: Sample, conditions: Conditions) -> list[str]:
    """Why a tune is not accepted, in words; [] where it is."""
    found = (
        abc_notation.check(as_checked(sample.text, conditions))
        if sample.ended
        else ["cut off before its end, and no bar closes it well there"]
    )
    # Forced lines are forced by number: a model that leaves a header out puts them elsewhere.
    for name, value in facts(sample.text).items():
        asked: str = getattr(conditions, name)
        if asked and asked.strip() != value:
            found.append(f"{name} is not as asked")
    if conditions.of_form:
        form = find_form(abc_notation.parse_tune(as_checked(sample.text, conditions)))
        if form is None or not conditions.has_form(form):
            found.append("parts, bars or repeats are not as asked")
    whole = sample.text + "\n"  # the line's end that a start may end with is the tune's last
    if not (whole if conditions.beginning else _split(whole)[1]).startswith(conditions.start):
        found.append("start is not where the music begins")
    return found


def facts(text: str) -> dict[str, str]:
    """title, key, metre and type of a tune, as its header has them; "" for what is not there."""
    headers, _ = _split(text)
    return {
        "title": headers.get("T", ""),
        "key": headers.get("K", ""),
        "metre": headers.get("M", ""),
        "type": headers.get("Z", "").removeprefix("id:dc-").rpartition("-")[0],
    }


def generate_checked(
    model: TuneModel, options: Options, wanted: Sequence[tuple[TuneRequest, Conditions]], batch: int = 32
) -> list[CheckedTune]:
    """Writes and checks tunes as the API does. An answer is the same whatever else is asked for."""
    requests = [conditioned(request, conditions, options) for request, conditions in wanted]
    return [
        CheckedTune(sample, tuple(problems(sample, conditions)), request.form)
        for sample, request, (_, conditions) in zip(generate(model, requests, batch), requests, wanted, strict=True)
    ]


def _split(text: str) -> tuple[dict[str, str], str]:
    """The fields of the header up to K:, the first of each letter, and what follows them."""
    headers: dict[str, str] = {}
    while text[1:2] == ":" and text[:1].isalpha() and "K" not in headers:
        line, _, text = text.partition("\n")
        headers.setdefault(line[0], line[2:].strip())
    return headers, text
