"""Measures an exported bundle on held-out tunes, and what it writes against real tunes."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from components.datasets.music.reader import SPLITS, read_added, read_texts
from components.errors import UserError
from components.files import write_text
from components.labs.music import params
from components.labs.music.evaluation.comparison import Comparison, agreement, valid_rate, validated
from components.labs.music.evaluation.form import GENERATED, REAL, TRAINING, Forms, by_form
from components.labs.music.evaluation.form import metrics as form_metrics
from components.labs.music.evaluation.likelihood import bits_of, bits_per_char, by_position, split_header
from components.labs.music.evaluation.limitations import limitations
from components.labs.music.evaluation.report import Findings, write_report
from components.labs.music.evaluation.success import Success, by_option, request, worst
from components.labs.music.evaluation.success import metrics as success_metrics
from components.labs.music.features import references
from components.labs.music.runtime.acceptance import CheckedTune, generate_checked
from components.labs.music.runtime.conditioning import Conditions, Options
from components.labs.music.runtime.model import TuneModel
from components.onnx.quantisation import choose_variant, quantisation_cost
from components.records import Evaluation
from components.report.csv_table import write_csv

if TYPE_CHECKING:
    import numpy as np

    from components.bundle import Bundle

log = logging.getLogger(__name__)

POSITION_STEP = 50
"""Characters; bits per character are averaged over steps of this from the tune's start."""


def evaluate(bundle: Bundle, prepared: Path, out: Path, params: params.Evaluate) -> Evaluation:
    """Measures every variant, chooses the one to serve, and looks closely at what that one writes.

    Writes report.html, examples/*.abc and plots/*.csv into `out`. Raises UserError where a split has no tunes.
    """
    texts = _splits(prepared)
    bits = {variant: _read(bundle, variant, texts, params.batch) for variant in bundle.spec["variants"]}
    variants = {
        variant: {
            "bits_per_char": bits_per_char(found["test"]),
            "bits_per_char_validation": bits_per_char(found["validation"]),
        }
        for variant, found in bits.items()
    }
    cost = quantisation_cost(variants, "bits_per_char_validation", lower_is_better=True)
    served = choose_variant(variants, cost, params.max_quantisation_cost)
    header, music = split_header(texts["test"], bits[served]["test"])

    model, options = TuneModel.load(bundle, served), Options.of_spec(bundle.spec)
    raw, checked = _write(model, options, params)
    log.info("asking for each of %d metres and %d types", len(options.types_by_metre), len(options.types))
    asked = by_option(model, options, params)
    formed = by_form(model, options, params)
    anything = Success.of(checked)
    generated = validated([tune.text for tune in raw], "raw samples", params.max_length)
    accepted = validated([tune.text for tune in checked if not tune.problems], "checked samples", params.max_length)
    comparison = Comparison(
        generated=generated,
        held_out=validated([*texts["validation"], *texts["test"]], "held-out tunes"),
        training=validated(texts["train"], "training tunes"),
        added=validated(read_added(prepared), "tunes of printed collections"),
    )
    forms = {
        GENERATED: Forms.of(accepted),
        REAL: Forms.of(comparison.held_out),
        TRAINING: Forms.of(comparison.training),
    }
    metrics = {
        **variants[served],
        "bits_per_char_header": bits_per_char(header),
        "bits_per_char_music": bits_per_char(music),
        "quantisation_cost": cost,
        **comparison.metrics(),
        "accepted_sample_rate": sum(not tune.problems for tune in raw) / len(raw),
        "checked_rate": anything.accepted_rate,
        "redraws_per_request": anything.redraws_per_request,
        "drawn_per_character": anything.drawn_per_character,
        "valid_checked_rate": valid_rate(accepted),
        **success_metrics(asked),
        **form_metrics(forms, checked),
        **{f"request_rate_{name}": found.rate for name, found in formed.items()},
    }
    tables = {"bits_by_position": by_position(bits[served]["test"], POSITION_STEP), **comparison.tables()}
    for name, table in tables.items():
        write_csv(out / "plots" / f"{name}.csv", table)
    for index, tune in enumerate(checked[: params.examples], start=1):
        write_text(out / "examples" / f"{index:02}.abc", tune.text + "\n")
    findings = Findings(
        manifest=bundle.manifest,
        metrics=metrics,
        variants=variants,
        served=served,
        comparison=comparison,
        agreement={"written by the model": agreement(generated), "real, held out": agreement(comparison.held_out)},
        accepted=accepted,
        asked={"anything": anything, **asked, **formed},
        forms=forms,
        redraws=params.redraws,
        tables=tables,
        limitations=tuple(limitations(metrics, comparison, {"anything": anything, **asked})),
    )
    write_report(out / "report.html", findings)
    return Evaluation(
        metrics=metrics,
        counts={
            "bits_per_char": len(texts["test"]),
            "valid_sample_rate": len(generated),
            "accepted_sample_rate": len(raw),
            "checked_rate": len(checked),
            "valid_checked_rate": len(accepted),
            "worst_request_rate": worst(asked)[1].requests,
        },
        variants=variants,
        serve={"variant": served},
        limitations=findings.limitations,
        drift_references=references([*texts["train"], *texts["validation"]]),
    )


def _splits(prepared: Path) -> dict[str, list[str]]:
    texts = {split: read_texts(prepared, split) for split in SPLITS}
    for split, found in texts.items():
        if not found:
            raise UserError(f"{prepared} has no {split} tunes: nothing can be measured; take more tunes in prepare")
    return texts


def _read(bundle: Bundle, variant: str, texts: Mapping[str, Sequence[str]], batch: int) -> dict[str, list[np.ndarray]]:
    """The bits of every character of the held-out splits."""
    log.info("reading %d held-out tunes with the %s graph", len(texts["validation"]) + len(texts["test"]), variant)
    model = TuneModel.load(bundle, variant)
    return {split: bits_of(model, texts[split], batch) for split in ("validation", "test")}


def _write(model: TuneModel, options: Options, params: params.Evaluate) -> tuple[list[CheckedTune], list[CheckedTune]]:
    """The same requests twice: tunes as they come, and tunes whose wrong bars are drawn again."""
    log.info("writing %d tunes with the %s graph, raw and checked", params.samples, model.variant)
    checked = [(request(params, index), Conditions()) for index in range(params.samples)]
    raw = [(replace(each, redraws=0), conditions) for each, conditions in checked]
    return (
        generate_checked(model, options, raw, params.batch),
        generate_checked(model, options, checked, params.batch),
    )
