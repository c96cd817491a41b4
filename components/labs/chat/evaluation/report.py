"""report.html, which is the model card too: figures, limitations, conversations that nobody chose, facts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from components.bundle import Manifest
from components.datasets.styles.reader import KINDS, PLAIN
from components.files import write_text
from components.report.model import about, variants
from components.report.model import limitations as limitations_section
from components.report.page import bullets, note, page, section, table

CARD = (
    "Intended use: to show how a language model is tuned, judged and served. It is no source of facts or advice.",
    "Data: databricks-dolly-15k's open questions (CC BY-SA 3.0), restyled by another language model; English only. "
    "Nobody checked the restyled answers, and some contradict the plain ones.",
    "Refusal and toxicity: the base has been tuned to refuse little, and nothing was done here to change that. Neither "
    "refusals nor toxic answers were measured. Do not show its answers to people without saying what wrote them.",
    "The styles imitate a figure of films and a figure of folklore; the second is a stereotype of Irish speech.",
)


@dataclass(frozen=True)
class Written:
    """An answer. judged: its kind by the judge. overlap: words in a row that a training answer has too."""

    question: str
    text: str
    judged: str
    degenerate: bool
    in_style: bool
    overlap: int


@dataclass(frozen=True)
class Findings:
    """All that the report tells. written: by kind. facts: question, then (answer, right) of the base and the model."""

    manifest: Manifest
    variants: Mapping[str, Mapping[str, float]]
    served: str
    metrics: Mapping[str, float]
    counts: Mapping[str, int]
    style: str
    written: Mapping[str, Sequence[Written]]
    facts: Sequence[tuple[str, tuple[str, bool], tuple[str, bool]]]
    shown: int
    limitations: Sequence[str]


def limitations(metrics: Mapping[str, float], style: str, questions: int) -> Iterator[str]:
    """Sentences for those who use the model, with what was measured."""
    yield (
        f"Of {questions} held-out questions, {1 - metrics['style_rate']:.0%} of the {style} answers are not in the "
        "style or degenerate."
    )
    yield (
        f"It answers {metrics['fact_rate']:.0%} of simple factual questions rightly in the style; the base, without "
        f"adapters, {metrics['base_fact_rate']:.0%}. It invents what it does not know."
    )
    yield (
        f"Of its {style} answers, {metrics['memorised_rate']:.0%} are to at least a half one run of words of a "
        "training answer."
    )
    yield "Answers to the same seed may differ where other answers are written at the same time, by rounding."
    yield "It was trained on single questions: in a longer conversation it may leave its style. This was not measured."


def write_report(out: Path, findings: Findings) -> None:
    """Writes report.html into `out`."""
    metrics, style = findings.metrics, findings.style
    sections = [
        about(
            findings.manifest,
            findings.served,
            bits_per_byte=f"{metrics['bits_per_byte']:.3f} on {findings.counts['bits_per_byte']} held-out {style} "
            f"answers; the base {metrics['base_bits_per_byte']:.3f}",
            in_the_style_and_not_degenerate=f"{metrics['style_rate']:.1%} of {findings.counts['style_rate']} "
            f"({metrics['style_rate_low']:.1%} to {metrics['style_rate_high']:.1%})",
            degenerate=f"{metrics['degenerate_rate']:.1%}",
            facts=f"{metrics['fact_rate']:.1%} of {findings.counts['fact_rate']}; the base "
            f"{metrics['base_fact_rate']:.1%}; lost {metrics['facts_lost']:.1%} "
            f"({metrics['facts_lost_low']:.1%} to {metrics['facts_lost_high']:.1%})",
        ),
        section("Model card", bullets(CARD)),
        limitations_section(findings.limitations),
        variants(findings.variants, 3),
        section("Kinds of answers", _kinds(metrics), note(_judge_note(metrics))),
        section("Conversations, the first by a hash of the question", _conversations(findings)),
        section("Facts: the base, and the model in its style", _facts(findings)),
    ]
    write_text(out / "report.html", page(f"Evaluation of the lab {findings.manifest.lab}", sections))


def _judge_note(metrics: Mapping[str, float]) -> str:
    return (
        "Judge of style: logistic regression on words and punctuation, right for "
        f"{metrics['judge_accuracy']:.1%} of held-out answers and {metrics['judge_recall']:.1%} of those in the style. "
        "It passes word salad in the style's words, so an answer also counts as degenerate where the base model, asked "
        f"plainly, needs more than {metrics['fluency_bound']:.2f} bits per byte for it."
    )


def _kinds(metrics: Mapping[str, float]) -> str:
    rows = [
        (
            kind,
            f"{metrics[f'{kind}_bits_per_byte']:.3f}",
            f"{metrics[f'{kind}_style_rate']:.1%}",
        )
        for kind in KINDS
    ]
    return table(rows, ["answers", "bits per byte", "in the style, not degenerate"])


def _conversations(findings: Findings) -> str:
    rows = [
        (
            escape(findings.written[PLAIN][place].question),
            *(_cell(findings.written[kind][place], kind) for kind in KINDS),
        )
        for place in range(min(findings.shown, len(findings.written[PLAIN])))
    ]
    return table(rows, ["question", *KINDS])


def _cell(written: Written, kind: str) -> str:
    text = escape(written.text) or "<em>nothing</em>"
    return text if written.in_style or kind == PLAIN else f"<mark>{text}</mark>"


def _facts(findings: Findings) -> str:
    rows = [
        (
            escape(question),
            *(escape(text[:200]) if right else f"<mark>{escape(text[:200])}</mark>" for text, right in both),
        )
        for question, *both in findings.facts
    ]
    return table(rows, ["question", "the base", findings.style])
