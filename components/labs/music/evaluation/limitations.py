"""Limitations of a model compared with real tunes, as sentences with the measured values."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from components.labs.music.evaluation.comparison import Comparison
from components.labs.music.evaluation.histograms import HISTOGRAMS, Tune
from components.labs.music.evaluation.success import Success, worst
from components.stats import wilson_interval

FAULTS: dict[str, str] = {
    "header": "headers",
    "key": "key",
    "metre": "metre",
    "note": "spelling of notes",
    "bar": "length of bars",
    "end": "ending",
    "unreadable": "notation",
}
"""What each kind of fault that the music21 validator finds is about, in words."""


def limitations(metrics: Mapping[str, float], comparison: Comparison, asked: Mapping[str, Success]) -> Iterator[str]:
    """Limitations compared with real tunes, each with its measured values.

    asked: how requests ended, by what they asked for.
    """
    generated, real = comparison.generated, comparison.held_out
    if wilson_interval(*_valid(generated))[1] < wilson_interval(*_valid(real))[0]:
        kinds = Counter(fault.kind for tune in generated for fault in tune.reading.faults[:1])
        kind, count = kinds.most_common(1)[0]
        yield (
            f"Its raw samples are invalid notation more often than real tunes: {rate(generated)} of its tunes are "
            f"valid, of real ones {rate(real)}. The commonest first fault is in the {FAULTS[kind]} ({count} tunes)."
        )
    if metrics["accepted_sample_rate"] < 1:
        yield (
            f"The sampler's own check, which also asks that pickups be completed, accepts "
            f"{metrics['accepted_sample_rate']:.0%} of its samples as they come. Where a tune must be valid, "
            f"{metrics['redraws_per_request']:.1f} bars of it are drawn again in the mean."
        )
    if metrics["closed_rate"] > 0:
        yield f"{metrics['closed_rate']:.1%} of the tunes asked for are ended by forced text, not by the model."
    if metrics["checked_rate"] < 1:
        yield f"The sampler's check refused {1 - metrics['checked_rate']:.1%} of the tunes asked for all the same."
    name, least = worst(asked)
    if least.rate < 1:
        yield (
            f"Requests do not succeed equally often: of {least.requests} requests for {in_words(name)}, "
            f"{least.valid} ended in a tune that both judges accept."
        )
    if metrics["verbatim_run_p95"] > metrics["verbatim_run_p95_real"]:
        yield (
            f"It copies: one tune in twenty shares {metrics['verbatim_run_p95']:.0f} characters or more in a row with "
            f"a training tune; of real new tunes, one in twenty shares {metrics['verbatim_run_p95_real']:.0f}. "
            f"{metrics['verbatim_run_excess_rate']:.0%} of its tunes exceed that (5 % would be usual)."
        )
    if metrics["melodic_run_excess_rate"] > metrics["verbatim_run_excess_rate"]:
        yield (
            f"It copies melodies into other keys: {metrics['melodic_run_excess_rate']:.0%} of its tunes share a longer "
            "run of notes, in whatever key, with a training tune than 95 % of real new tunes do."
        )
    excess = {
        name: comparison.distance(name, "generated") - comparison.distance(name, "held_out") for name in HISTOGRAMS
    }
    name = max(excess, key=excess.__getitem__)
    if excess[name] > 0:
        yield (
            f"Its tunes differ most from real ones in: {name.replace('_', ' ')} (distance "
            f"{comparison.distance(name, 'generated'):.2f} from the training tunes; "
            f"held-out tunes {comparison.distance(name, 'held_out'):.2f})."
        )
    if metrics["unfinished_rate"] > 0:
        yield f"{metrics['unfinished_rate']:.1%} of its tunes did not come to an end."
    if metrics["bits_per_char_header"] > metrics["bits_per_char_music"]:
        yield (
            f"It predicts titles and numbers worse than music: {metrics['bits_per_char_header']:.2f} bits per "
            f"character of the header, {metrics['bits_per_char_music']:.2f} of the music."
        )
    yield "It writes Irish dance tunes as in one collection, in one voice, without chords and lyrics; no other music."


def in_words(option: str) -> str:
    """What a request asks for, by its name: "metre_6-8" is "the metre 6/8"."""
    return f"the {option.replace('_', ' ').replace('-', '/')}" if "_" in option else option


def rate(tunes: Sequence[Tune]) -> str:
    """The share of valid tunes, with its interval."""
    valid, total = _valid(tunes)
    low, high = wilson_interval(valid, total)
    return f"{valid / max(1, total):.1%} ({valid} of {total}; 95 % interval {low:.1%} to {high:.1%})"


def _valid(tunes: Sequence[Tune]) -> tuple[int, int]:
    return sum(tune.reading.valid for tune in tunes), len(tunes)
