"""Generated tunes compared with real ones: validity, copied runs, distances of histograms.

Held-out tunes are the baseline of each measure. They are real and the model has not seen them, so they say which rate
of faults, how long a run shared with a training tune, and how large a distance of histograms is usual for a new tune.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from fractions import Fraction
from typing import NamedTuple, TypeVar

import numpy as np

from components.datasets.music import abc_notation
from components.labs.music.evaluation import music21_validator
from components.labs.music.evaluation.histograms import HISTOGRAMS, WORDS, Tune, histograms
from components.labs.music.evaluation.novelty import Corpus, Run, body, melody
from components.report.csv_table import Table
from components.stats import jensen_shannon_distance

Item = TypeVar("Item")

RUNS: dict[str, Callable[[Tune], str]] = {
    "verbatim_run": lambda tune: body(tune.text),
    "melodic_run": lambda tune: melody(tune.notes),
}
"""Symbols whose runs are searched in the training tunes: characters of music, and steps of melody in any key."""


class Copy(NamedTuple):
    """A generated tune and the training tune with which it shares the longest run of characters."""

    tune: Tune
    run: Run
    source: Tune


def validated(texts: Sequence[str], what: str, max_length: int | None = None) -> list[Tune]:
    """Each text with the validator's reading. One of `max_length` characters was cut short, which is a fault."""
    return [_validated(text, max_length) for text in progress(texts, f"validating {what}")]


def _validated(text: str, max_length: int | None) -> Tune:
    reading = music21_validator.read(text)
    if max_length and len(text) >= max_length:
        cut = music21_validator.Fault("end", f"no end within {max_length} characters")
        reading = replace(reading, faults=(*reading.faults, cut))
    return Tune(text, reading)


def valid_rate(tunes: Sequence[Tune]) -> float:
    """Share of valid tunes; 0 where there are none, as of a model whose samples were all refused."""
    return sum(tune.reading.valid for tune in tunes) / max(1, len(tunes))


def agreement(tunes: Iterable[Tune]) -> Counter[tuple[bool, bool]]:
    """How many tunes are (valid to the music21 validator, valid to the sampler's check)."""
    return Counter((tune.reading.valid, not abc_notation.check(tune.text)) for tune in tunes)


class Comparison:
    """Generated and held-out tunes, both compared with the training tunes."""

    def __init__(
        self, generated: Sequence[Tune], held_out: Sequence[Tune], training: Sequence[Tune], added: Sequence[Tune] = ()
    ) -> None:
        """added: training tunes of printed collections; they are searched for copies, and count in no histogram."""
        self.generated, self.held_out, self.training = generated, held_out, training
        self.sources = (*training, *added)
        self.runs = {kind: self._runs(kind) for kind in RUNS}
        """For each kind of run the longest of each generated and each held-out tune."""
        self.counts = {source: histograms(tunes) for source, tunes in self._sources().items()}

    def metrics(self) -> dict[str, float]:
        found = {
            "valid_sample_rate": valid_rate(self.generated),
            "valid_sample_rate_real": valid_rate(self.held_out),
            "unfinished_rate": sum(any(fault.kind == "end" for fault in tune.reading.faults) for tune in self.generated)
            / len(self.generated),
        }
        for kind, runs in self.runs.items():
            generated, held_out = (
                np.array([run.length for run in runs[source]]) for source in ("generated", "held_out")
            )
            for source, lengths in (("", generated), ("_real", held_out)):
                found[f"{kind}_median{source}"] = float(np.median(lengths))
                found[f"{kind}_p95{source}"] = float(np.percentile(lengths, 95))
            found[f"{kind}_excess_rate"] = float(np.mean(generated > found[f"{kind}_p95_real"]))
        return found | {f"{name}_js_distance": self.distance(name, "generated") for name in HISTOGRAMS}

    def distance(self, histogram: str, source: str) -> float:
        """Jensen-Shannon distance of a source's histogram from the training tunes', 0 to 1."""
        return jensen_shannon_distance(self.counts[source][histogram], self.counts["training"][histogram])

    def tables(self) -> dict[str, Table]:
        """The numbers of each plot, by the plot's name: a column of values, then a column of shares for each source."""
        survival = {kind: _survival(runs) for kind, runs in self.runs.items()}
        return survival | {name: self._shares(name) for name in HISTOGRAMS}

    def copies(self, count: int) -> list[Copy]:
        """The generated tunes that share the longest runs of characters with a training tune, the worst first."""
        found = zip(self.generated, self.runs["verbatim_run"]["generated"], strict=True)
        worst = sorted(found, key=lambda pair: pair[1].length, reverse=True)[:count]
        return [Copy(tune, run, self.sources[run.source]) for tune, run in worst]

    def _sources(self) -> dict[str, Sequence[Tune]]:
        return {"generated": self.generated, "held_out": self.held_out, "training": self.training}

    def _runs(self, kind: str) -> dict[str, list[Run]]:
        symbols = RUNS[kind]
        corpus = Corpus([symbols(tune) for tune in self.sources])
        what = f"looking for copies ({kind.replace('_', ' ')})"
        return {
            source: [corpus.longest_run(symbols(tune)) for tune in progress(self._sources()[source], what)]
            for source in ("generated", "held_out")
        }

    def _shares(self, name: str) -> Table:
        """A histogram of every source as shares that sum to 1. Numbers go by size, words by how common they are."""
        values = {value for counts in self.counts.values() for value in counts[name]}
        common = self.counts["training"][name]
        order = sorted(values, key=lambda value: (-common[value], value) if name in WORDS else Fraction(value))
        table: dict[str, Sequence[str | int | float]] = {name: order}
        for source, counts in self.counts.items():
            total = max(1, counts[name].total())
            table[source] = [counts[name][value] / total for value in order]
        return table


def _survival(runs: dict[str, list[Run]]) -> Table:
    """For each length from 0 the share of tunes whose longest run is at least as long: one falling curve a source."""
    longest = max(run.length for found in runs.values() for run in found)
    table: dict[str, Sequence[str | int | float]] = {"length": range(longest + 2)}
    for source, found in runs.items():
        lengths = np.array([run.length for run in found])
        table[source] = [float(np.mean(lengths >= length)) for length in range(longest + 2)]
    return table


def progress(items: Sequence[Item], what: str) -> Iterable[Item]:
    """The items, with a bar on the terminal if there is one."""
    from rich.console import Console
    from rich.progress import track

    return track(items, what, console=Console(stderr=True), disable=not sys.stderr.isatty())
