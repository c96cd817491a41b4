"""Tunes whose wrong bars are drawn again against tunes that are thrown away until one is valid.

`python -m benchmarks.serving --validity` runs this: what an accepted tune costs in each way, and whether both kinds of
accepted tunes are alike. Throwing whole tunes away is how the API made valid tunes before; it is kept here only.
"""

from __future__ import annotations

import time
from collections import Counter, defaultdict, deque
from collections.abc import Iterator, Sequence
from itertools import islice
from statistics import mean
from typing import Any

from components.datasets.music.abc_notation import parse_tune
from components.labs.music.evaluation.comparison import validated
from components.labs.music.evaluation.histograms import histograms
from components.labs.music.runtime.acceptance import problems
from components.labs.music.runtime.conditioning import Conditions, Options
from components.labs.music.runtime.model import TuneModel
from components.labs.music.runtime.prompt import conditioned
from components.labs.music.runtime.request import Sample, TuneRequest
from components.labs.music.runtime.sampler import Batch
from components.labs.music.runtime.tune import Tune
from components.stats import jensen_shannon_distance

TOGETHER = 32


def compare(model: TuneModel, options: Options, tunes: int, redraws: int) -> dict[str, Any]:
    """`tunes` accepted tunes in each way; those thrown away until valid twice, as a yardstick for the distances."""
    rejection, again = Writer(model, options, redraws=0), Writer(model, options, redraws=0, first_seed=10**6)
    drawn_again = Writer(model, options, redraws=redraws, first_seed=2 * 10**6)
    texts = {
        "rejection": rejection.accepted(tunes),
        "rejection_again": again.accepted(tunes),
        "bars_drawn_again": drawn_again.accepted(tunes),
    }
    costs = {"rejection": rejection.cost(), "bars_drawn_again": drawn_again.cost()}
    return {"tunes": tunes, "cost": costs, "distances": distances(texts), "means": means(texts)}


class Writer:
    """Writes tunes that may be of any kind, and counts what they cost."""

    def __init__(self, model: TuneModel, options: Options, redraws: int, first_seed: int = 0) -> None:
        self._model, self._options = model, options
        self._redraws, self._seed = redraws, first_seed
        self._samples: list[Sample] = []
        self._kept: list[str] = []
        self._characters = 0
        """Characters that calls of the model have written for these samples, those that nobody looked at included."""
        self._seconds = 0.0
        """Processor time for these samples: a tune's share of each call and of judging what it wrote."""

    def accepted(self, count: int) -> list[str]:
        """The first `count` that the check accepts."""
        self._kept = list(islice(self._accepted(), count))
        return self._kept

    def cost(self) -> dict[str, float]:
        kept = sum(map(len, self._kept))
        return {
            "samples_per_tune": len(self._samples) / len(self._kept),
            "characters_computed_per_character": self._characters / kept,
            "processor_milliseconds_per_tune": 1000 * self._seconds / len(self._kept),
            "redraws_per_tune": mean(sample.redrawn for sample in self._samples),
            "closed_rate": mean(sample.closed for sample in self._samples),
        }

    def _accepted(self) -> Iterator[str]:
        """In the order of their seeds: the order in which they are finished prefers short ones."""
        batch, tunes = Batch[Tune](self._model), deque[Tune]()
        computed, seconds = Counter[int](), defaultdict[int, float](float)
        while True:
            while len(batch) < TOGETHER:
                request = TuneRequest(seed=self._seed, max_length=1500, redraws=self._redraws)
                tunes.append(Tune(conditioned(request, Conditions(), self._options), self._model))
                batch.join(tunes[-1])
                self._seed += 1
            started = time.thread_time()
            written = batch.step()
            share = (time.thread_time() - started) / len(written)
            for tune in written:
                computed[id(tune)] += self._model.steps_per_call
                seconds[id(tune)] += share
            while tunes and tunes[0].finished:
                self._characters += computed.pop(id(tunes[0]))
                self._seconds += seconds.pop(id(tunes[0]))
                sample = tunes.popleft().sample
                self._samples.append(sample)
                if not problems(sample, Conditions()):
                    yield sample.text


def distances(texts: dict[str, list[str]]) -> dict[str, dict[str, float]]:
    """Jensen-Shannon distances of the histograms from those of `rejection`."""
    counted = {name: {**histograms(validated(found, name)), "bars": bars(found)} for name, found in texts.items()}
    of = counted.pop("rejection")
    return {
        histogram: {name: jensen_shannon_distance(found[histogram], of[histogram]) for name, found in counted.items()}
        for histogram in of
    }


def bars(texts: Sequence[str]) -> Counter[str | int]:
    """Numbers of bars of the tunes."""
    return Counter(len(parse_tune(text).bars) for text in texts)


def means(texts: dict[str, list[str]]) -> dict[str, dict[str, float]]:
    return {
        name: {
            "characters": mean(map(len, found)),
            "bars": mean(len(parse_tune(text).bars) for text in found),
            "notes": mean(len(parse_tune(text).notes) for text in found),
        }
        for name, found in texts.items()
    }
