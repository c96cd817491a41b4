"""How often a request ends in an accepted tune, and in how many samples, by what it asks for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Self

from components.labs.music import params
from components.labs.music.runtime.acceptance import CheckedTune, generate_accepted
from components.labs.music.runtime.conditioning import Conditions, Options
from components.labs.music.runtime.model import TuneModel
from components.labs.music.runtime.sampler import TuneRequest

METRE_NAMES = {"C": "4/4", "C|": "2/2"}
"""What these signs mean: names of metrics may hold no `|`."""


class Success(NamedTuple):
    """How many requests ended in a tune, and how many samples they took."""

    requests: int
    accepted: int
    samples: int

    @classmethod
    def of(cls, tunes: Sequence[CheckedTune]) -> Self:
        """tunes: what each request ended in."""
        return cls(len(tunes), sum(not tune.problems for tune in tunes), sum(tune.attempts for tune in tunes))

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

    They are written, and accepted or not, as the API does it.
    """
    asked = {
        f"metre_{METRE_NAMES.get(metre, metre).replace('/', '-')}": Conditions(metre=metre)
        for metre in options.types_by_metre
    }
    asked |= {f"type_{type}": Conditions(type=type) for type in options.types}
    wanted = [
        (
            TuneRequest(seed=params.seed + index, temperature=params.temperature, max_length=params.max_length),
            conditions,
        )
        for conditions in asked.values()
        for index in range(params.requests)
    ]
    tunes = generate_accepted(model, options, wanted, params.attempts, params.batch)
    return {
        name: Success.of(tunes[number * params.requests : (number + 1) * params.requests])
        for number, name in enumerate(asked)
    }


def metrics(found: Mapping[str, Success]) -> dict[str, float]:
    rates = {f"checked_rate_{name}": each.rate for name, each in found.items()}
    return rates | {f"samples_per_request_{name}": each.samples_per_request for name, each in found.items()}
