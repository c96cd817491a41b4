"""Measures an exported chat model as it is served: likelihood, style, facts, and what it has memorised."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from components.datasets.styles.reader import (
    KINDS,
    PLAIN,
    STYLES,
    Conversation,
    read_conversations,
    read_style_lines,
)
from components.datasets.styles.template_reader import Message
from components.errors import UserError
from components.files import write_text
from components.labs.chat.evaluation.facts import FACTS, is_right
from components.labs.chat.evaluation.judge import Overlap, StyleJudge, is_degenerate
from components.labs.chat.evaluation.likelihood import Likelihood, of_answer, of_answers, total
from components.labs.chat.evaluation.report import Findings, Written, limitations, write_report
from components.labs.chat.params import Evaluate
from components.labs.chat.runtime.model import ChatModel
from components.labs.chat.runtime.sampler import ask, write_all
from components.onnx.quantisation import choose_variant, quantisation_cost
from components.records import Evaluation
from components.report.csv_table import write_csv
from components.stats import paired_difference_interval, wilson_interval

if TYPE_CHECKING:
    from components.bundle import Bundle

log = logging.getLogger(__name__)

OVERLAP = 8
"""Words: a shorter run that an answer shares with a training answer is no memory."""
MEMORISED = 0.5
"""Share of an answer's words that one run of a training answer makes up, from which it counts as memorised."""


@dataclass(frozen=True)
class Judges:
    style: StyleJudge
    overlap: Overlap
    accuracy: float
    """Share of held-out answers, plain and styled, that the style judge gets right."""
    recall: float
    """Share of held-out answers in the headline's style that it takes for such."""
    fluency: float
    """Bits per byte under the base, beyond which an answer is word salad."""


def evaluate(bundle: Bundle, prepared: Path, out: Path, params: Evaluate) -> Evaluation:
    """Writes report.html, answers.jsonl and plots/*.csv into `out`.

    Raises UserError where the test split has no styled answer.
    """
    variants = _variants(bundle, prepared, params)
    cost = quantisation_cost(variants, "validation_bits_per_byte", lower_is_better=True)
    served = choose_variant(variants, cost, params.max_quantisation_cost)
    model = ChatModel.load(bundle, params.slots, served)
    test = sorted(read_conversations(prepared, "test"), key=lambda each: hashlib.sha256(each.id.encode()).digest())
    if not any(params.style in each.answers for each in test):
        raise UserError(f"{prepared} has no test answer in the style {params.style}")
    log.info("reading held-out answers")
    likelihoods = {
        (kind, style): of_answers(model, test, kind, style, params.likelihood)
        for kind in KINDS
        for style in (_adapter(kind, params), None)
    }
    judges = judges_of(model, prepared, test, params)
    questions = [each.question for each in test[: params.questions]]
    log.info("answering %d questions in each style", len(questions))
    most = {kind: len(questions) if kind == params.style else params.other_questions for kind in KINDS}
    written = {kind: judged_answers(model, questions[:count], kind, params, judges) for kind, count in most.items()}
    log.info("asking %d factual questions", min(params.facts, len(FACTS)))
    facts = {kind: right_answers(model, FACTS[: params.facts], kind, params) for kind in (params.style, PLAIN)}
    metrics = {**_metrics(likelihoods, written, facts, judges, params), "quantisation_cost": cost}
    counts = {
        "bits_per_byte": len(likelihoods[params.style, params.style]),
        "plain_loss": len(likelihoods[PLAIN, None]),
        "facts_lost": len(facts[PLAIN]),
        "fact_rate": len(facts[PLAIN]),
        **dict.fromkeys(("style_rate", "style_rate_low", "degenerate_rate", "memorised_rate"), len(questions)),
    }
    findings = Findings(
        manifest=bundle.manifest,
        variants=variants,
        served=served,
        metrics=metrics,
        counts=counts,
        style=params.style,
        written=written,
        facts=[(FACTS[place][0], base, tuned) for place, (base, tuned) in enumerate(zip(
            facts[PLAIN], facts[params.style], strict=True))],
        shown=params.conversations,
        limitations=tuple(limitations(metrics, params.style, len(questions))),
    )  # fmt: skip
    write_report(out, findings)
    rows = ({"kind": kind, **asdict(each)} for kind, answers in written.items() for each in answers)
    write_text(out / "answers.jsonl", "".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in rows))
    write_csv(
        out / "plots" / "styles.csv",
        {"kind": STYLES, "in_style": [_share(each.in_style for each in written[kind]) for kind in STYLES]},
    )
    return Evaluation(
        metrics=metrics,
        counts=counts,
        variants=variants,
        serve={"variant": served},
        limitations=findings.limitations,
    )


def _variants(bundle: Bundle, prepared: Path, params: Evaluate) -> dict[str, dict[str, float]]:
    """The variants on validation answers in the style."""
    validation = read_conversations(prepared, "validation")
    found = {}
    for variant in bundle.spec["variants"]:
        log.info("reading validation answers with %s", variant)
        model = ChatModel.load(bundle, variant=variant)
        likelihood = total(of_answers(model, validation, params.style, params.style, params.likelihood))
        megabytes = (bundle.folder / bundle.manifest.graphs[variant].file).stat().st_size / 1e6
        found[variant] = {"validation_bits_per_byte": likelihood.bits_per_byte, "megabytes": megabytes}
    return found


def _adapter(kind: str, params: Evaluate) -> str:
    """Whose adapter reads answers of a kind: plain ones show what the headline's style has cost."""
    return params.style if kind == PLAIN else kind


def judges_of(model: ChatModel, prepared: Path, test: Sequence[Conversation], params: Evaluate) -> Judges:
    """The style judge learns from training answers and from styled lines without a question."""
    training = read_conversations(prepared, "train")
    texts = [(kind, text) for each in training for kind, text in each.answers.items()]
    lines = [(line.style, line.text) for line in read_style_lines(prepared)]
    style = StyleJudge([text for _, text in texts + lines], [kind for kind, _ in texts + lines])
    held_out = [(kind, text) for each in test for kind, text in each.answers.items()]
    found = style.kinds([text for _, text in held_out])
    right = [kind == judged for (kind, _), judged in zip(held_out, found, strict=True)]
    recall = [judged == kind for (kind, _), judged in zip(held_out, found, strict=True) if kind == params.style]
    validation = read_conversations(prepared, "validation")
    references = [
        found.bits_per_byte for kind in STYLES for found in of_answers(model, validation, kind, None, params.likelihood)
    ]
    fluency = float(np.percentile(references, params.judge.fluency_percentile))
    overlap = Overlap([text for kind, text in texts + lines if kind != PLAIN], OVERLAP)
    return Judges(style, overlap, float(np.mean(right)), float(np.mean(recall)), fluency)


def judged_answers(
    model: ChatModel, questions: Sequence[str], kind: str, params: Evaluate, judges: Judges
) -> list[Written]:
    """The answer of a kind to each question, with what the judges say of it."""
    texts = _answers(model, questions, kind, params)
    found = judges.style.kinds(texts)
    fluent = [
        of_answer(model, model.instructions[PLAIN], question, text, None).bits_per_byte <= judges.fluency
        for question, text in zip(questions, texts, strict=True)
    ]
    return [
        Written(
            question,
            text,
            judged,
            degenerate=is_degenerate(text, params.judge) or not clear,
            in_style=judged == kind and clear and not is_degenerate(text, params.judge),
            overlap=judges.overlap.longest(text),
        )
        for question, text, judged, clear in zip(questions, texts, found, fluent, strict=True)
    ]


def right_answers(
    model: ChatModel, facts: Sequence[tuple[str, str]], kind: str, params: Evaluate
) -> list[tuple[str, bool]]:
    """The answer of a kind to each factual question, and whether it is right. facts: as `FACTS`."""
    texts = _answers(model, [question for question, _ in facts], kind, params)
    return [(text, is_right(text, pattern)) for text, (_, pattern) in zip(texts, facts, strict=True)]


def facts_lost_interval(base: Sequence[tuple[str, bool]], tuned: Sequence[tuple[str, bool]]) -> tuple[float, float]:
    """Ends of the 95 % interval of the share of facts that tuning loses. base, tuned: of `right_answers`, paired."""
    pairs = [(before, after) for (_, before), (_, after) in zip(base, tuned, strict=True)]
    return paired_difference_interval(pairs.count((True, False)), pairs.count((False, True)), len(pairs))


def _answers(model: ChatModel, questions: Sequence[str], kind: str, params: Evaluate) -> list[str]:
    requests = [
        ask(model, [Message("user", question)], kind, params.sampling, params.seed + place)
        for place, question in enumerate(questions)
    ]
    return [answer.text.strip() for answer in write_all(model, requests)]


def _metrics(
    likelihoods: dict[tuple[str, str | None], list[Likelihood]],
    written: dict[str, list[Written]],
    facts: dict[str, list[tuple[str, bool]]],
    judges: Judges,
    params: Evaluate,
) -> dict[str, float]:
    sums = {key: total(found) for key, found in likelihoods.items()}
    chosen = written[params.style]
    styled = sum(each.in_style for each in chosen)
    low, high = wilson_interval(styled, len(chosen))
    right = {kind: _share(fine for _, fine in found) for kind, found in facts.items()}
    lost_low, lost_high = facts_lost_interval(facts[PLAIN], facts[params.style])
    tuned = {kind: sums[kind, _adapter(kind, params)] for kind in KINDS}
    base = {kind: sums[kind, None] for kind in KINDS}
    return {
        "bits_per_byte": tuned[params.style].bits_per_byte,
        "base_bits_per_byte": base[params.style].bits_per_byte,
        **{f"{kind}_bits_per_byte": tuned[kind].bits_per_byte for kind in KINDS},
        "base_plain_bits_per_byte": base[PLAIN].bits_per_byte,
        "nats_per_token": tuned[params.style].nats_per_token,
        "plain_loss": tuned[PLAIN].nats_per_token - base[PLAIN].nats_per_token,
        "style_rate": styled / len(chosen),
        "style_rate_low": low,
        "style_rate_high": high,
        **{f"{kind}_style_rate": _share(each.in_style for each in written[kind]) for kind in KINDS},
        "degenerate_rate": _share(each.degenerate for each in chosen),
        "base_degenerate_rate": _share(each.degenerate for each in written[PLAIN]),
        "fact_rate": right[params.style],
        "base_fact_rate": right[PLAIN],
        "facts_lost": right[PLAIN] - right[params.style],
        "facts_lost_low": lost_low,
        "facts_lost_high": lost_high,
        "memorised_rate": _share(each.overlap >= MEMORISED * len(each.text.split()) > 0 for each in chosen),
        "longest_overlap": float(max(each.overlap for each in chosen)),
        "judge_accuracy": judges.accuracy,
        "judge_recall": judges.recall,
        "fluency_bound": judges.fluency,
    }


def _share(found: object) -> float:
    values = list(found)  # type: ignore[call-overload]
    return sum(map(bool, values)) / len(values)
