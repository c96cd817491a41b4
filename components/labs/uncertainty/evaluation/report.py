"""report.html: what was measured, beside what was published, and what the estimates are not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

import numpy as np

from components.bundle import Manifest
from components.files import write_text
from components.labs.uncertainty.evaluation import plots
from components.labs.uncertainty.evaluation.measures import Difference
from components.labs.uncertainty.evaluation.published import PUBLISHED
from components.labs.uncertainty.evaluation.sets import SUREST, SetFindings
from components.labs.uncertainty.evaluation.toy import FitFindings, ToyFindings
from components.report.model import about
from components.report.model import limitations as limitations_section
from components.report.page import figure, note, page, section, table

METHODS = {
    "evidential": "evidential networks (normal-inverse-gamma)",
    "gaussian": "Gaussian networks",
    "dropout": "Gaussian networks under fixed dropout masks",
}


@dataclass(frozen=True)
class Findings:
    """All that the report tells. sets: by name."""

    sets: Mapping[str, SetFindings]
    toy: ToyFindings
    metrics: Mapping[str, float]
    limitations: Sequence[str]


def write_report(out: Path, manifest: Manifest, findings: Findings) -> None:
    """Writes report.html into `out`."""
    spec, sets, toy, metrics = manifest.spec, findings.sets, findings.toy, findings.metrics
    models = f"ensembles of {METHODS[spec['method']]}, calibrated on left-out rows by one scale a split"
    sections = [
        about(
            manifest,
            "float",
            models=models,
            mean_calibration_error=f"{metrics['mean_calibration_error']:.3f}",
            coverage_of_90_percent_intervals=f"{metrics['coverage_90']:.3f}, between "
            f"{metrics['least_coverage_90']:.3f} and {metrics['most_coverage_90']:.3f}, by set",
            unknown_against_known_on_the_cubic=f"AUROC {metrics['ood_auroc']:.3f}",
        ),
        section("Beside the published tables", _published(sets), note(PROTOCOLS)),
        section("Each set", _each(sets, spec["intervals"]), note(COLUMNS)),
        limitations_section(findings.limitations),
        figure("Calibration of quantiles", plots.calibration(sets)),
        figure("Coverage of intervals", plots.coverage(sets, spec["intervals"])),
        section(
            "The cubic: what the estimates are, and are not",
            f"<p>y = x³ + noise of standard deviation {toy.true_noise:g}. Training rows lie in the shaded part alone. "
            "An epistemic estimate must be larger outside, shrink as rows are added, and not depend on the "
            "regulariser.</p>",
            figure("Predictions and epistemic estimates", plots.cubic(toy)),
            figure(
                "Means in the shaded part",
                plots.sweeps(toy.fits, spec["toy"]["standard_rows"], spec["toy"]["standard_penalty"]),
            ),
            _fits(toy.fits),
        ),
    ]
    write_text(out / "report.html", page(f"Evaluation of the lab {manifest.lab}", sections, STYLE))


STYLE = ".best { font-weight: 700 } body { max-width: 76rem } "
PROTOCOLS = (
    "RMSE / negative log-likelihood in nats: means over Gal's splits, ours with standard errors. Lower is better; the "
    "best of each row is bold. Protocols differ: the released code of Amini et al. reports the minimum over training "
    "of each figure on at most 100 test rows of a split; ours and Gal's rerun choose nothing on test rows."
)
COLUMNS = (
    f"Surest: coverage of the 90 % intervals on the {SUREST:.0%} of rows with the narrowest ones. Gains: one network "
    "minus the ensemble, mean of paired differences over splits and its interval (Nadeau and Bengio's variance). "
    "Fresh: test rows that are no copies of training rows."
)


def _published(sets: Mapping[str, SetFindings]) -> str:
    columns = list(dict.fromkeys(row for rows in PUBLISHED.values() for row in rows))
    lines = []
    for name, found in sets.items():
        splits = np.sqrt(len(found.rmse))
        ours = (float(found.rmse.mean()), float(found.nll.mean()))
        others = [PUBLISHED.get(name, {}).get(column) for column in columns]
        best = [min([ours[place], *(other[place] for other in others if other)]) for place in (0, 1)]
        cells = [
            " / ".join(
                f"{_bold(f'{ours[place]:.4g}', ours[place] <= best[place])} ± {values.std() / splits:.2g}"
                for place, values in enumerate((found.rmse, found.nll))
            )
        ]
        cells += [
            " / ".join(_bold(f"{other[place]:.2f}", other[place] <= best[place]) for place in (0, 1)) if other else "–"
            for other in others
        ]
        lines.append((escape(name), *cells))
    return table(lines, ["set", "this model", *(escape(column) for column in columns)])


def _each(sets: Mapping[str, SetFindings], intervals: Sequence[float]) -> str:
    place = intervals.index(0.9)
    head = ["set", "splits", "CRPS", "calibration error", "pooled"]
    head += [f"{interval:.0%} covers" for interval in intervals]
    head += [f"{interval:.0%} conformal covers" for interval in intervals]
    head += ["surest", "90 % width", "conformal width"]
    head += ["gain in RMSE", "gain in NLL", "fresh RMSE"]
    lines = [
        (
            escape(name),
            str(len(found.rmse)),
            f"{found.crps.mean():.4g}",
            f"{found.calibration_error.mean():.3f}",
            f"{found.pooled_calibration_error:.3f}",
            *(f"{share:.1%}" for share in found.coverage.mean(axis=0)),
            *(f"{share:.1%}" for share in found.conformal_coverage.mean(axis=0)),
            f"{found.sure_coverage[:, place].mean():.1%}",
            f"{found.width[:, place].mean():.3g}",
            f"{found.conformal_width[:, place].mean():.3g}",
            _difference(found.ensemble_gain_rmse),
            _difference(found.ensemble_gain_nll),
            f"{np.nanmean(found.fresh_rmse):.4g}",
        )
        for name, found in sets.items()
    ]
    return table(lines, head)


def _fits(fits: Sequence[FitFindings]) -> str:
    head = (
        "method",
        "training rows",
        "regulariser",
        "AUROC of what each network claims",
        "AUROC of the spread",
        "claimed inside",
        "spread inside",
        "noise inside",
    )
    lines = [
        (
            fit.method,
            str(fit.rows),
            f"{fit.penalty:g}" if fit.method == "evidential" else "–",
            ", ".join(f"{value:.2f}" for value in fit.claimed_auroc) or "–",
            f"{fit.spread_auroc:.3f}",
            f"{fit.claimed:.3g}",
            f"{fit.spread:.3g}",
            f"{fit.noise:.3g}",
        )
        for fit in fits
    ]
    return table(lines, head)


def _difference(found: Difference) -> str:
    return f"{found.mean:.3g} [{found.low:.3g}, {found.high:.3g}]"


def _bold(text: str, best: bool) -> str:
    return f'<span class="best">{text}</span>' if best else text
