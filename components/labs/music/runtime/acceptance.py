"""Which written tunes count: the one rule, for evaluation and for the API.

A tune is accepted when the model ended it itself, it is valid ABC, and it is what was asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from components.datasets.music import abc_notation
from components.labs.music.runtime.conditioning import Conditions, Options
from components.labs.music.runtime.model import TuneModel
from components.labs.music.runtime.prompt import as_checked, conditioned
from components.labs.music.runtime.sampler import Sample, TuneRequest, generate, sample_seed


@dataclass(frozen=True)
class CheckedTune:
    """A tune that was written again until it was accepted, or the last one where none was."""

    text: str
    problems: tuple[str, ...]
    """() for one that was accepted."""
    attempts: int
    """How many tunes were written for it."""


def problems(sample: Sample, conditions: Conditions) -> list[str]:
    """Why a tune is not accepted, in words; [] where it is."""
    found = (
        abc_notation.check(as_checked(sample.text, conditions))
        if sample.ended
        else ["cut off at max_length before its end"]
    )
    # Forced lines are forced by number: a model that leaves a header out puts them elsewhere.
    for name, value in facts(sample.text).items():
        asked: str = getattr(conditions, name)
        if asked and asked.strip() != value:
            found.append(f"{name} is not as asked")
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


def generate_accepted(
    model: TuneModel,
    options: Options,
    wanted: Sequence[tuple[TuneRequest, Conditions]],
    attempts: int,
    batch: int = 32,
) -> list[CheckedTune]:
    """Writes tunes as the API does: from other seeds again until one is accepted, up to `attempts` tunes for each.

    The first accepted attempt counts, so the answer is the same whatever else is asked for.
    """
    tunes: dict[int, CheckedTune] = {}
    for attempt in range(attempts):
        open_ones = [index for index in range(len(wanted)) if index not in tunes or tunes[index].problems]
        requests = []
        for index in open_ones:
            request, conditions = wanted[index]
            seeded = replace(request, seed=sample_seed(request.seed, 0, attempt))
            requests.append(conditioned(seeded, conditions, options))
        for index, sample in zip(open_ones, generate(model, requests, batch), strict=True):
            tunes[index] = CheckedTune(sample.text, tuple(problems(sample, wanted[index][1])), attempt + 1)
    return [tunes[index] for index in range(len(wanted))]


def _split(text: str) -> tuple[dict[str, str], str]:
    """The fields of the header up to K:, the first of each letter, and what follows them."""
    headers: dict[str, str] = {}
    while text[1:2] == ":" and text[:1].isalpha() and "K" not in headers:
        line, _, text = text.partition("\n")
        headers.setdefault(line[0], line[2:].strip())
    return headers, text
