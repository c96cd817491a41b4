"""How often a request ends in a tune that the sampler's check accepts, and in how many samples, by what it asks for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from components.datasets.music.abc_notation import parse_tune
from components.labs.music import params
from components.labs.music.runtime.conditioning import Options
from components.labs.music.runtime.sampler import Request, TuneModel, generate, sample_seed

METRE_NAMES = {"C": "4/4", "C|": "2/2"}
"""What these signs mean: names of metrics may hold no `|`."""


class Success(NamedTuple):
    """Of a number of requests."""

    requests: int
    accepted: int
    samples: int

    @property
    def rate(self) -> float:
        """checked_rate: the share that ended in a tune."""
        return self.accepted / self.requests

    @property
    def samples_per_request(self) -> float:
        """Those of requests that were given up included."""
        return self.samples / self.requests


def by_option(model: TuneModel, options: Options, params: params.Evaluate) -> dict[str, Success]:
    """For each metre and each type that may be asked for, by name ("metre_6-8", "type_jig"): `params.requests` of it.

    A sample is judged as the API does: it is valid, has come to its end, and is what was asked for.
    """
    wishes = {
        f"metre_{METRE_NAMES.get(metre, metre).replace('/', '-')}": {"metre": metre} for metre in options.types_by_metre
    }
    wishes |= {f"type_{type}": {"type": type} for type in options.types}
    open_ones = [(name, params.seed + index) for name in wishes for index in range(params.requests)]
    samples, accepted = dict.fromkeys(wishes, 0), dict.fromkeys(wishes, 0)
    for attempt in range(params.attempts):
        texts = generate(
            model, [_request(options, wishes[name], sample_seed(seed, 0, attempt), params) for name, seed in open_ones]
        )
        missed = []
        for (name, seed), text in zip(open_ones, texts, strict=True):
            samples[name] += 1
            if len(text) < params.max_length and _accepted(text, **wishes[name]):
                accepted[name] += 1
            else:
                missed.append((name, seed))
        open_ones = missed
    return {name: Success(params.requests, accepted[name], samples[name]) for name in wishes}


def metrics(found: Mapping[str, Success]) -> dict[str, float]:
    rates = {f"checked_rate_{name}": each.rate for name, each in found.items()}
    return rates | {f"samples_per_request_{name}": each.samples_per_request for name, each in found.items()}


def _request(options: Options, wish: Mapping[str, str], seed: int, params: params.Evaluate) -> Request:
    return Request(
        seed=seed,
        temperature=params.temperature,
        max_length=params.max_length,
        forced=options.forced_lines(seed, **wish),
    )


def _accepted(text: str, metre: str = "", type: str = "") -> bool:
    tune = parse_tune(text)
    return not tune.problems and metre in ("", tune.headers["M"]) and type in ("", tune.type)
