"""How often a request ends in a valid tune, and what it costs, by what it asks for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Self

from components.labs.music import params
from components.labs.music.evaluation.comparison import progress
from components.labs.music.evaluation.music21_validator import read
from components.labs.music.runtime.acceptance import CheckedTune, generate_checked
from components.labs.music.runtime.conditioning import Conditions, Options
from components.labs.music.runtime.model import TuneModel
from components.labs.music.runtime.request import TuneRequest

METRE_NAMES = {"C": "4/4", "C|": "2/2"}
"""What these signs mean: names of metrics may hold no `|`."""


class Success(NamedTuple):
    """How many requests ended in a valid tune, and what they took."""

    requests: int
    accepted: int
    """By the sampler's check, which decides what the API returns."""
    valid: int
    """Those that the music21 validator accepts too."""
    redrawn: int
    """Bars and lines of the header that were drawn again."""
    closed: int
    """Tunes that forced text ended."""
    drawn: int
    """Characters that the model chose."""
    kept: int
    """Characters of the accepted tunes, those that were forced included."""

    @classmethod
    def of(cls, tunes: Sequence[CheckedTune]) -> Self:
        """tunes: what each request ended in."""
        accepted = [tune.text for tune in tunes if not tune.problems]
        return cls(
            requests=len(tunes),
            accepted=len(accepted),
            valid=sum(read(text).valid for text in progress(accepted, "validating tunes that were asked for")),
            redrawn=sum(tune.sample.redrawn for tune in tunes),
            closed=sum(tune.sample.closed for tune in tunes),
            drawn=sum(tune.sample.drawn for tune in tunes),
            kept=sum(map(len, accepted)),
        )

    @property
    def rate(self) -> float:
        """The share that ended in a tune which both judges accept."""
        return self.valid / self.requests

    @property
    def accepted_rate(self) -> float:
        """checked_rate: the share that ended in a tune which the API returns."""
        return self.accepted / self.requests

    @property
    def redraws_per_request(self) -> float:
        return self.redrawn / self.requests

    @property
    def closed_rate(self) -> float:
        return self.closed / self.requests

    @property
    def drawn_per_character(self) -> float:
        """Characters that the model chose for each character of an accepted tune."""
        return self.drawn / max(1, self.kept)


def by_option(model: TuneModel, options: Options, params: params.Evaluate) -> dict[str, Success]:
    """For each metre and each type that may be asked for, by name ("metre_6-8", "type_jig"): `params.requests` of it.

    They are written, and accepted or not, as the API does it.
    """
    asked = {
        f"metre_{METRE_NAMES.get(metre, metre).replace('/', '-')}": Conditions(metre=metre)
        for metre in options.types_by_metre
    }
    asked |= {f"type_{type}": Conditions(type=type) for type in options.types}
    wanted = [(request(params, index), conditions) for conditions in asked.values() for index in range(params.requests)]
    tunes = generate_checked(model, options, wanted, params.batch)
    return {
        name: Success.of(tunes[number * params.requests : (number + 1) * params.requests])
        for number, name in enumerate(asked)
    }


def request(params: params.Evaluate, index: int) -> TuneRequest:
    """The request number `index` of an evaluation, for a tune that is to be valid."""
    return TuneRequest(
        seed=params.seed + index,
        temperature=params.temperature,
        max_length=params.max_length,
        redraws=params.redraws,
    )


def worst(found: Mapping[str, Success]) -> tuple[str, Success]:
    """What is asked for with the least success."""
    return min(found.items(), key=lambda item: item[1].rate)


def metrics(found: Mapping[str, Success]) -> dict[str, float]:
    rates = {f"request_rate_{name}": each.rate for name, each in found.items()}
    return rates | {
        "worst_request_rate": worst(found)[1].rate,
        "closed_rate": sum(each.closed for each in found.values()) / sum(each.requests for each in found.values()),
    }
