"""report.html: what was measured, beside what was published, and what the estimates are not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

import numpy as np

from components.bundle import Manifest
from components.files import write_text
from components.labs.uncertainty.evaluation import plots
from components.labs.uncertainty.evaluation.measures import Difference
from components.labs.uncertainty.evaluation.published import PUBLISHED
from components.labs.uncertainty.evaluation.sets import SetFindings
from components.labs.uncertainty.evaluation.toy import FitFindings, ToyFindings

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 72rem; margin: 2rem auto; padding: 0 1rem; color: #1f2933 }
table { border-collapse: collapse; margin: 1rem 0 } td, th { padding: .3rem .8rem; border-bottom: 1px solid #d9e2ec }
th { text-align: left } td { font-variant-numeric: tabular-nums } figure { margin: 1rem 0 }
figure svg { max-width: 100%; height: auto } figcaption { font-weight: 600 } .best { font-weight: 700 }
"""
METHODS = {
    "evidential": "evidential networks (normal-inverse-gamma)",
    "gaussian": "Gaussian networks",
    "dropout": "Gaussian networks under fixed dropout masks",
}


def write_report(
    out: Path,
    manifest: Manifest,
    sets: Mapping[str, SetFindings],
    toy: ToyFindings,
    metrics: Mapping[str, float],
    limitations: Sequence[str],
) -> None:
    """Writes report.html into `out`."""
    spec = manifest.spec
    starter = manifest.provenance.data_profile != "course"
    warning = " <strong>(the small starter data: not the real thing)</strong>" if starter else ""
    about = [
        ("model digest", f"<code>{manifest.digest}</code>"),
        ("data", f"profile {escape(manifest.provenance.data_profile)}{warning}"),
        ("code", f"commit <code>{escape(manifest.provenance.git_commit)}</code>"),
        ("models", f"ensembles of {METHODS[spec['method']]}, one scale a split calibrated on left-out rows"),
        ("mean calibration error", f"{metrics['mean_calibration_error']:.3f}"),
        ("coverage of 90 % intervals", f"{metrics['coverage_90']:.3f}"),
        ("outside against inside on the cubic, AUROC", f"{metrics['toy_auroc']:.3f}"),
    ]
    body = [
        _rows(about),
        "<h2>Beside the published tables</h2>",
        "<p>RMSE / negative log-likelihood in nats, means over splits with standard errors; lower is better. The best "
        "of each row is bold. Published figures come from other protocols: see docs/uncertainty.md.</p>",
        _published(sets),
        "<h2>Each set</h2>",
        _each(sets, spec["intervals"]),
        "<p>Gains: one network minus the ensemble, mean of paired differences over splits and its interval "
        "(Nadeau and Bengio's variance). Fresh: test rows that are no copies of training rows.</p>",
        "<h2>Limitations</h2><ul>" + "".join(f"<li>{escape(each)}</li>" for each in limitations) + "</ul>",
        _shown("Calibration of quantiles", plots.calibration(sets)),
        _shown("Coverage of intervals", plots.coverage(sets, spec["intervals"])),
        "<h2>The cubic: what the estimates are, and are not</h2>",
        f"<p>The true noise is {toy.true_noise:g}. Rows were seen in the shaded part alone.</p>",
        _shown("Predictions and epistemic estimates", plots.cubic(toy)),
        _shown(
            "Means in the shaded part",
            plots.sweeps(toy.fits, spec["toy"]["standard_rows"], spec["toy"]["standard_penalty"]),
        ),
        _fits(toy.fits),
    ]
    title = f"The model of the lab {escape(manifest.lab)}, measured"
    write_text(
        out / "report.html",
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{title}</title><style>{STYLE}</style></head>\n<body><h1>{title}</h1>\n{''.join(body)}</body></html>\n",
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
    return _table(("set", "this model", *(escape(column) for column in columns)), lines)


def _each(sets: Mapping[str, SetFindings], intervals: Sequence[float]) -> str:
    head = ["set", "splits", "CRPS", "calibration error", "pooled"]
    head += [f"{interval:.0%} covers" for interval in intervals]
    head += [f"{interval:.0%} conformal" for interval in intervals]
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
            _difference(found.ensemble_gain_rmse),
            _difference(found.ensemble_gain_nll),
            f"{np.nanmean(found.fresh_rmse):.4g}",
        )
        for name, found in sets.items()
    ]
    return _table(head, lines)


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
    return _table(head, lines)


def _difference(found: Difference) -> str:
    return f"{found.mean:.3g} [{found.low:.3g}, {found.high:.3g}]"


def _bold(text: str, best: bool) -> str:
    return f'<span class="best">{text}</span>' if best else text


def _table(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """Cells are HTML already."""
    top = "".join(f"<th>{cell}</th>" for cell in head)
    rows = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in line) + "</tr>" for line in lines)
    return f"<table><tr>{top}</tr>{rows}</table>"


def _rows(rows: Sequence[tuple[str, str]]) -> str:
    return "<table>" + "".join(f"<tr><th>{name}</th><td>{cell}</td></tr>" for name, cell in rows) + "</table>"


def _shown(caption: str, svg: str) -> str:
    return f"<figure><figcaption>{escape(caption)}</figcaption>{svg}</figure>"
