"""report.html: what was measured, told to somebody who does not train models. It loads nothing from anywhere."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from math import log2
from pathlib import Path

from components.bundle import Manifest
from components.files import write_text
from components.labs.music.evaluation import plots
from components.labs.music.evaluation.comparison import Comparison, Copy
from components.labs.music.evaluation.histograms import HISTOGRAMS, LENGTH_BIN, Tune
from components.labs.music.evaluation.limitations import FAULTS, in_words, rate
from components.labs.music.evaluation.novelty import body
from components.labs.music.evaluation.plots import Table
from components.labs.music.evaluation.success import Success
from components.stats import wilson_interval

WORST = 3
"""Nearest copies shown."""

VISIBLE = 0.01
"""A value of a histogram is drawn if at least this share of some source has it; the CSV has them all."""

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

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 72rem; margin: 2rem auto; padding: 0 1rem; color: #1f2933 }
table { border-collapse: collapse; margin: 1rem 0 } td, th { padding: .3rem .8rem; border-bottom: 1px solid #d9e2ec }
th { text-align: left } td.number { text-align: right; font-variant-numeric: tabular-nums }
figure { display: inline-block; width: min(34rem, 100%); margin: .5rem } figure svg { width: 100%; height: auto }
figcaption { font-weight: 600 } pre { background: #f0f4f8; padding: 1rem; overflow-x: auto }
mark { background: #f9c6cc } .note { color: #52606d }
"""


@dataclass(frozen=True)
class Findings:
    """All that the report tells."""

    manifest: Manifest
    metrics: Mapping[str, float]
    variants: Mapping[str, Mapping[str, float]]
    served: str
    comparison: Comparison
    agreement: Mapping[str, Counter[tuple[bool, bool]]]
    """By source: how many tunes are (valid to the judge, valid to the sampler's checker)."""
    accepted: Sequence[Tune]
    """Tunes that passed the sampler's check."""
    asked: Mapping[str, Success]
    """How requests ended, by what they asked for."""
    attempts: int
    """Samples after which a request is given up."""
    tables: Mapping[str, Table]
    """The numbers of each of PICTURES."""
    limitations: tuple[str, ...]


def write_report(path: Path, findings: Findings) -> None:
    parts = [_about(findings), _results(findings), _weaknesses(findings), _validity(findings), _success(findings)]
    parts += [_copying(findings), _likeness(findings), _examples(findings)]
    write_text(
        path,
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>The music model, measured</title><style>{STYLE}</style></head>\n"
        f"<body><h1>The music model, measured</h1>\n{''.join(parts)}</body></html>\n",
    )


def _about(findings: Findings) -> str:
    manifest, made = findings.manifest, findings.manifest.provenance
    starter = made.data_profile != "course"
    warning = " <strong>(the small starter data: not the real thing)</strong>" if starter else ""
    rows = [
        ("model digest", f"<code>{manifest.digest}</code>"),
        ("data", f"profile {escape(made.data_profile)}{warning}, version <code>{escape(made.data_version)}</code>"),
        ("code", f"commit <code>{escape(made.git_commit)}</code>{' with changes' if made.git_dirty else ''}"),
        ("graph that will be served", escape(findings.served)),
    ]
    return _table((), rows)


def _results(findings: Findings) -> str:
    metrics, comparison = findings.metrics, findings.comparison
    rows = [
        (
            "Bits per character, test tunes",
            f"{metrics['bits_per_char']:.3f}",
            "How surprised the model is by tunes it has not seen: 0 would be none, "
            f"{_guessing(findings):.1f} is guessing blindly. Lower is better.",
        ),
        (
            "… of headers / of music",
            f"{metrics['bits_per_char_header']:.3f} / {metrics['bits_per_char_music']:.3f}",
            "",
        ),
        (
            "Valid tunes, as they come",
            rate(comparison.generated),
            f"Candidate by an independent parser. Real held-out tunes, same judge: {rate(comparison.held_out)}.",
        ),
        (
            "Accepted by the sampler's own check, as they come",
            f"{metrics['accepted_sample_rate']:.1%}",
            "It also asks that a pickup and the end of its part make one bar, so it accepts fewer. "
            f"A tune takes {metrics['samples_per_request']:.2f} samples.",
        ),
        (
            "Valid tunes, after the sampler's check",
            rate(findings.accepted),
            "What the music API returns: an invalid tune is written again. "
            f"The check accepted {metrics['checked_rate']:.1%} of the tunes asked for, after all attempts.",
        ),
        (
            "Longest run copied, median / 95th percentile",
            f"{metrics['verbatim_run_median']:.0f} / {metrics['verbatim_run_p95']:.0f} characters",
            f"Real new tunes: {metrics['verbatim_run_median_real']:.0f} / {metrics['verbatim_run_p95_real']:.0f}.",
        ),
    ]
    variants = [
        (name, f"{found['bits_per_char']:.4f}", f"{found['bits_per_char_validation']:.4f}")
        for name, found in findings.variants.items()
    ]
    return (
        "<h2>Results</h2>"
        + _table(("", "measured", "what it means"), rows)
        + "<p>Every graph of the bundle was measured the same way. The quantised one (int8) is faster and is served if "
        f"it costs little; here, {metrics['quantisation_cost']:+.4f} bits per character on validation tunes.</p>"
        + _table(("graph", "bits per character, test", "validation"), variants)
        + _picture(findings, "bits_by_position")
    )


def _weaknesses(findings: Findings) -> str:
    return "<h2>Weaknesses</h2><ul>" + "".join(f"<li>{escape(text)}</li>" for text in findings.limitations) + "</ul>"


def _validity(findings: Findings) -> str:
    rows = []
    for source, counts in findings.agreement.items():
        rows.append(
            (source, *(str(counts[pair]) for pair in ((True, True), (True, False), (False, True), (False, False))))
        )
    faults = Counter(FAULTS[fault.kind] for tune in findings.comparison.generated for fault in tune.reading.faults[:1])
    return (
        "<h2>Is it music notation?</h2><p>The judge (music21's reader, and bars summed) shares no code with the check "
        "that the sampler itself applies. They may differ: the check also asks that a pickup and the end of its part "
        "make one bar.</p>"
        + _table(("tunes", "both accept", "only the judge", "only the check", "neither"), rows)
        + "<p>First fault of the tunes as they come: "
        + (", ".join(f"{kind} {count}" for kind, count in faults.most_common()) or "none")
        + ".</p>"
    )


def _success(findings: Findings) -> str:
    rows = []
    for name, found in findings.asked.items():
        low, high = wilson_interval(found.accepted, found.requests)
        rows.append(
            (
                escape(in_words(name)),
                f"{found.accepted} of {found.requests}",
                f"{found.rate:.0%}",
                f"{low:.0%} to {high:.0%}",
                f"{found.samples_per_request:.1f}",
            )
        )
    return (
        "<h2>Is what is asked for written?</h2><p>Requests as the music API serves them: a sample that the sampler's "
        f"check refuses, or that is not as asked, is drawn again, up to {findings.attempts} samples.</p>"
        + _table(("asked for", "ended in a tune", "share", "95 % interval", "samples per request"), rows)
    )


def _copying(findings: Findings) -> str:
    copies = "".join(_copy(copy) for copy in findings.comparison.copies(WORST))
    return (
        "<h2>Is it new?</h2><p>For each tune, the longest run that some training tune has too. Real tunes share "
        "phrases, so the held-out tunes' curve is the yardstick: the further right the model's, the more it copies.</p>"
        + _picture(findings, "verbatim_run")
        + _picture(findings, "melodic_run")
        + f"<h3>The {WORST} nearest to copies</h3>{copies}"
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
    return (
        "<h2>Does it sound like the tunes it learned from?</h2><p>Jensen-Shannon distance from the training tunes: 0 "
        "is the same distribution, 1 is nothing in common. Held-out tunes show what is usual for real ones.</p>"
        + _table(("", "generated", "held out"), rows)
        + "".join(_picture(findings, name) for name in HISTOGRAMS)
    )


def _examples(findings: Findings) -> str:
    tunes = "".join(f"<pre>{escape(tune.text)}</pre>" for tune in findings.accepted[:3])
    return (
        f"<h2>Three tunes it wrote</h2>{tunes}<p class=note>More are in examples/, numbers of all plots in plots/.</p>"
    )


def _picture(findings: Findings, name: str) -> str:
    title, x_label = PICTURES[name]
    table = findings.tables[name]
    x, *sources = table
    if name in HISTOGRAMS:
        seen = [row for row in range(len(table[x])) if any(float(table[source][row]) >= VISIBLE for source in sources)]
        shares = {source: [float(table[source][row]) for row in seen] for source in sources}
        svg = plots.bars([table[x][row] for row in seen], shares, x_label, "share")
    else:
        y_label = "bits per character" if name == "bits_by_position" else "share of tunes"
        svg = plots.lines(table[x], {source: table[source] for source in sources}, x_label, y_label)
    return f"<figure><figcaption>{title}</figcaption>{svg}</figure>"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Cells are HTML already; those that start with a digit are set as numbers."""
    header = f"<tr>{''.join(f'<th>{cell}</th>' for cell in head)}</tr>" if head else ""
    lines = ("".join(f"<td{_number(cell)}>{cell}</td>" for cell in row) for row in rows)
    return f"<table>{header}{''.join(f'<tr>{line}</tr>' for line in lines)}</table>"


def _number(cell: str) -> str:
    return " class=number" if cell[:1].isdigit() else ""


def _guessing(findings: Findings) -> float:
    """Bits per character if every character of the vocabulary were equally likely."""
    return log2(len(findings.manifest.spec["vocabulary"]))
