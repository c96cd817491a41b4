"""report.html of a music model, for readers who do not train models."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from math import log2
from pathlib import Path

from components.bundle import Manifest
from components.files import write_text
from components.labs.music.evaluation.comparison import Comparison, Copy
from components.labs.music.evaluation.form import Forms
from components.labs.music.evaluation.form_report import form_section
from components.labs.music.evaluation.histograms import HISTOGRAMS, LENGTH_BIN, Tune
from components.labs.music.evaluation.limitations import FAULTS, in_words, rate
from components.labs.music.evaluation.novelty import body
from components.labs.music.evaluation.success import Success
from components.report import model, plots
from components.report.csv_table import Table
from components.report.page import figure, note, page, section, table
from components.report.plots import COOL, MUTED, WARM
from components.stats import wilson_interval

WORST = 3
"""Nearest copies shown."""

VISIBLE = 0.01
"""A value of a histogram is drawn if at least this share of some source has it; the CSV has them all."""

COLOURS = {"generated": WARM, "held_out": COOL, "training": MUTED}
"""One colour for a source of tunes in every plot."""

PICTURES = {
    "bits_by_position": ("Bits per character along the tune (test tunes)", "characters from the start"),
    "verbatim_run": ("Tunes that share a run of characters with a training tune", "at least so many characters"),
    "melodic_run": ("Tunes that share a run of melody, in whatever key", "at least so many notes"),
    "pitch_class": ("Pitches relative to the tonic", "semitones above the tonic"),
    "pitch": ("Pitches", "MIDI number (60 is middle C)"),
    "note_length": ("Lengths of notes", "quarter notes"),
    "tune_length": ("Lengths of tunes", f"characters, in steps of {LENGTH_BIN}"),
    "last_note": ("The last note", "semitones above the tonic"),
    "repeated_bars": ("Bars that a tune has had before", "tenths of its bars"),
    "key": ("Keys", "key"),
    "metre": ("Metres", "metre"),
}
"""Title and x label of each plot, in the order of the page."""


@dataclass(frozen=True)
class Findings:
    """The content of the report."""

    manifest: Manifest
    metrics: Mapping[str, float]
    variants: Mapping[str, Mapping[str, float]]
    served: str
    comparison: Comparison
    agreement: Mapping[str, Counter[tuple[bool, bool]]]
    """By source: how many tunes are (valid to the music21 validator, valid to the sampler's check)."""
    accepted: Sequence[Tune]
    """Tunes that passed the sampler's check."""
    asked: Mapping[str, Success]
    """How requests ended, by what they asked for."""
    forms: Mapping[str, Forms]
    """By source; the first is of accepted tunes."""
    redraws: int
    """How often the bars of a tune may be drawn again."""
    tables: Mapping[str, Table]
    """The numbers of each of PICTURES."""
    limitations: tuple[str, ...]


def write_report(path: Path, findings: Findings) -> None:
    sections = [
        model.about(findings.manifest, findings.served),
        _results(findings),
        model.variants(findings.variants),
        note(
            "int8 is smaller and faster. It is served if it costs little: here "
            f"{findings.metrics['quantisation_cost']:+.4f} bits per character on validation tunes."
        ),
        model.limitations(findings.limitations),
        _validity(findings),
        _success(findings),
        form_section(findings.forms, findings.metrics),
        _copying(findings),
        _likeness(findings),
        _examples(findings),
    ]
    write_text(path, page(f"Evaluation of the lab {findings.manifest.lab}", sections))


def _results(findings: Findings) -> str:
    metrics, comparison = findings.metrics, findings.comparison
    rows = [
        (
            "Bits per character, test tunes",
            f"{metrics['bits_per_char']:.3f}",
            "How badly the model predicts tunes it has not seen: 0 is perfect, "
            f"{_guessing(findings):.1f} is guessing. Lower is better.",
        ),
        (
            "… of headers / of music",
            f"{metrics['bits_per_char_header']:.3f} / {metrics['bits_per_char_music']:.3f}",
            "",
        ),
        (
            "Valid tunes, raw samples",
            rate(comparison.generated),
            f"By the music21 validator. Of real held-out tunes it accepts {rate(comparison.held_out)}.",
        ),
        (
            "Accepted by the sampler's check, raw samples",
            f"{metrics['accepted_sample_rate']:.1%}",
            "The check also asks that a pickup and the end of its part make one bar, so it accepts fewer.",
        ),
        (
            "Valid tunes, with wrong bars drawn again",
            rate(findings.accepted),
            f"The music API returns these. The check accepted {metrics['checked_rate']:.1%} of the tunes asked for; "
            f"{metrics['redraws_per_request']:.1f} bars of a tune are drawn again, and the model chooses "
            f"{metrics['drawn_per_character']:.2f} characters for each one that is returned.",
        ),
        (
            "Requests for the worst metre or type that end in a valid tune",
            f"{metrics['worst_request_rate']:.1%}",
            "By the sampler's check and by the music21 validator.",
        ),
        (
            "Longest run copied, median / 95th percentile",
            f"{metrics['verbatim_run_median']:.0f} / {metrics['verbatim_run_p95']:.0f} characters",
            f"Real new tunes: {metrics['verbatim_run_median_real']:.0f} / {metrics['verbatim_run_p95_real']:.0f}.",
        ),
    ]
    return section(
        "Results",
        table(rows, ("", "measured", "what it means")),
        f'<div class="pairs">{_picture(findings, "bits_by_position")}</div>',
    )


def _validity(findings: Findings) -> str:
    pairs = ((True, True), (True, False), (False, True), (False, False))
    rows = [(source, *(str(counts[pair]) for pair in pairs)) for source, counts in findings.agreement.items()]
    faults = Counter(FAULTS[fault.kind] for tune in findings.comparison.generated for fault in tune.reading.faults[:1])
    first = ", ".join(f"{kind} {count}" for kind, count in faults.most_common()) or "none"
    return section(
        "Is it valid notation?",
        "<p>The music21 validator reads a tune with music21's parser and sums its bars. It shares no code with the "
        "check that the sampler itself applies. Both may differ: the check also asks that a pickup and the end of its "
        "part make one bar.</p>",
        table(rows, ("tunes", "both accept", "only the validator", "only the check", "neither")),
        f"<p>First fault of the raw samples: {first}.</p>",
    )


def _success(findings: Findings) -> str:
    rows = []
    for name, found in findings.asked.items():
        low, high = wilson_interval(found.valid, found.requests)
        rows.append(
            (
                escape(in_words(name)),
                f"{found.valid} of {found.requests}",
                f"{found.rate:.0%}",
                f"{low:.0%} to {high:.0%}",
                f"{found.redraws_per_request:.1f}",
                f"{found.closed_rate:.0%}",
                f"{found.drawn_per_character:.2f}",
            )
        )
    columns = ("asked for", "valid", "share", "95 % interval", "bars drawn again", "closed", "drawn per character")
    return section(
        "Do requests end in a valid tune?",
        "<p>Requests as the music API serves them: a bar that the sampler's check refuses is drawn again, up to "
        f"{findings.redraws} times in a tune, and a tune that cannot go on is closed by forced text. A tune is valid "
        "here if the sampler's check and the music21 validator accept it, and it is as asked.</p>",
        table(rows, columns),
    )


def _copying(findings: Findings) -> str:
    return section(
        "Does it copy?",
        "<p>For each tune, the longest run that some training tune has too. Real tunes share phrases, so the curve of "
        "held-out tunes is the baseline: the further right the model's curve lies, the more it copies.</p>",
        '<div class="pairs">',
        _picture(findings, "verbatim_run"),
        _picture(findings, "melodic_run"),
        f"</div><h3>The {WORST} nearest copies</h3>",
        *(_copy(copy) for copy in findings.comparison.copies(WORST)),
    )


def _copy(copy: Copy) -> str:
    music = body(copy.tune.text)
    end = copy.run.start + copy.run.length
    marked = f"{escape(music[: copy.run.start])}<mark>{escape(music[copy.run.start : end])}</mark>{escape(music[end:])}"
    source = f"{copy.source.field('T')} (X:{copy.source.field('X')})"
    return (
        f"<p>“{escape(copy.tune.field('T'))}” shares {copy.run.length} of its {len(music)} characters in a row "
        f"with the training tune “{escape(source)}”.</p><pre>{marked}</pre>"
    )


def _likeness(findings: Findings) -> str:
    rows = [
        (
            PICTURES[name][0],
            f"{findings.comparison.distance(name, 'generated'):.3f}",
            f"{findings.comparison.distance(name, 'held_out'):.3f}",
        )
        for name in HISTOGRAMS
    ]
    return section(
        "Does it resemble the training tunes?",
        "<p>Jensen-Shannon distance from the training tunes: 0 is the same distribution, 1 is nothing in common. "
        "Held-out tunes show what is usual for real ones.</p>",
        table(rows, ("", "generated", "held out")),
        '<div class="pairs">',
        *(_picture(findings, name) for name in HISTOGRAMS),
        "</div>",
    )


def _examples(findings: Findings) -> str:
    return section(
        "Three accepted tunes",
        *(f"<pre>{escape(tune.text)}</pre>" for tune in findings.accepted[:3]),
        note("More are in examples/, the numbers of all plots in plots/."),
    )


def _picture(findings: Findings, name: str) -> str:
    title, x_label = PICTURES[name]
    numbers = findings.tables[name]
    x, *sources = numbers
    if name in HISTOGRAMS:
        seen = [
            row for row in range(len(numbers[x])) if any(float(numbers[source][row]) >= VISIBLE for source in sources)
        ]
        shares = {source: [float(numbers[source][row]) for row in seen] for source in sources}
        svg = plots.bars([numbers[x][row] for row in seen], shares, x_label, "share", COLOURS)
    else:
        y_label = "bits per character" if name == "bits_by_position" else "share of tunes"
        svg = plots.lines(numbers[x], {source: numbers[source] for source in sources}, x_label, y_label, COLOURS)
    return figure(title, svg)


def _guessing(findings: Findings) -> float:
    """Bits per character if every character of the vocabulary were equally likely."""
    return log2(len(findings.manifest.spec["vocabulary"]))
