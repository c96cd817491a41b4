"""The report's plots, as SVG that stands in an HTML page without loading anything."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from components.labs.uncertainty.evaluation.sets import SetFindings
from components.labs.uncertainty.evaluation.toy import FitFindings, ToyFindings
from components.report.plots import MUTED, canvas, svg

COLOURS = ("#00798c", "#d1495b", "#edae49", "#66a182", "#2e4057", "#8d96a3", "#9d4edd", "#b08968", "#1f2933")


def calibration(sets: Mapping[str, SetFindings]) -> str:
    """Share of test rows below each quantile, over all splits of a set, against the quantile's level."""
    figure = canvas(5.6, 4.6)
    axes = figure.add_subplot()
    axes.plot([0, 1], [0, 1], color=MUTED, linewidth=1)
    for (name, found), colour in zip(sets.items(), COLOURS, strict=False):
        axes.plot(found.levels, found.shares.mean(axis=0), label=name, color=colour, linewidth=1.5)
    axes.set_xlabel("quantile")
    axes.set_ylabel("share of test rows below it")
    axes.legend(frameon=False, fontsize=8)
    return svg(figure, "calibration")


def coverage(sets: Mapping[str, SetFindings], intervals: Sequence[float]) -> str:
    """Coverage of the model's own intervals (dots) and of the conformal ones (rings), set by set."""
    figure = canvas(8.0, 3.4)
    axes = figure.add_subplot()
    for place, (interval, colour) in enumerate(zip(intervals, COLOURS, strict=False)):
        axes.axhline(interval, color=colour, linewidth=0.8, linestyle=":")
        own = [found.coverage[:, place].mean() for found in sets.values()]
        conformal = [found.conformal_coverage[:, place].mean() for found in sets.values()]
        places = np.arange(len(sets))
        axes.plot(places - 0.08, own, "o", color=colour, label=f"{interval:.0%}")
        axes.plot(
            places + 0.08, conformal, "o", color=colour, markerfacecolor="none", label=f"{interval:.0%} conformal"
        )
    axes.set_xticks(range(len(sets)), list(sets))
    axes.set_ylabel("share of test rows covered")
    axes.legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5))
    return svg(figure, "coverage")


def cubic(toy: ToyFindings) -> str:
    """What each method predicts on the cubic: its 90 % interval, and the estimate that it calls epistemic."""
    figure = canvas(9.0, 5.6)
    for column, (method, found) in enumerate(toy.curves.items()):
        axes = figure.add_subplot(2, 2, column + 1)
        axes.fill_between(toy.x, found.quantiles[:, 0], found.quantiles[:, 2], color=COLOURS[column], alpha=0.25)
        axes.plot(toy.x, found.mean, color=COLOURS[column], label="mean and 90 % interval")
        axes.plot(toy.x, toy.x**3, color=MUTED, linewidth=1, linestyle="--", label="truth")
        axes.set_title(f"{method}, {found.location.shape[1]} networks")
        axes.legend(frameon=False, fontsize=8)
        below = figure.add_subplot(2, 2, column + 3)
        if method == "evidential":
            for network in range(found.claimed.shape[1]):
                label = "claimed by each network" if network == 0 else None
                below.plot(toy.x, found.claimed[:, network], color=COLOURS[1], linewidth=0.8, alpha=0.7, label=label)
        below.plot(toy.x, found.epistemic, color=COLOURS[0], label="spread of the networks")
        below.set_yscale("log")
        below.set_xlabel("x")
        below.legend(frameon=False, fontsize=8)
        for each in (axes, below):
            each.axvspan(-toy.inside, toy.inside, color="#f0f4f8", zorder=0)
    return svg(figure, "cubic")


def sweeps(fits: Sequence[FitFindings], standard_rows: int, standard_penalty: float) -> str:
    """Means inside, where rows were seen, over the number of rows and over the regulariser's weight."""
    figure = canvas(9.0, 3.2)
    by_rows = figure.add_subplot(1, 2, 1)
    evidential = [fit for fit in fits if fit.method == "evidential"]
    over_rows = sorted((fit for fit in evidential if fit.penalty == standard_penalty), key=lambda fit: fit.rows)
    gaussian = sorted((fit for fit in fits if fit.method == "gaussian"), key=lambda fit: fit.rows)
    rows = [fit.rows for fit in over_rows]
    by_rows.plot(rows, [fit.claimed for fit in over_rows], "o-", color=COLOURS[1], label="claimed, evidential")
    by_rows.plot(rows, [fit.noise for fit in over_rows], "o--", color=COLOURS[2], label="noise, evidential")
    rows = [fit.rows for fit in gaussian]
    by_rows.plot(rows, [fit.spread for fit in gaussian], "o-", color=COLOURS[0], label="spread, Gaussian ensemble")
    by_rows.plot(rows, [fit.noise for fit in gaussian], "o--", color=COLOURS[3], label="noise, Gaussian ensemble")
    by_rows.set_xscale("log")
    by_rows.set_yscale("log")
    by_rows.set_xlabel("training rows")
    by_rows.legend(frameon=False, fontsize=7)
    by_penalty = figure.add_subplot(1, 2, 2)
    over_penalty = sorted((fit for fit in evidential if fit.rows == standard_rows), key=lambda fit: fit.penalty)
    places = range(len(over_penalty))
    by_penalty.plot(places, [fit.claimed for fit in over_penalty], "o-", color=COLOURS[1], label="claimed, evidential")
    by_penalty.plot(places, [fit.noise for fit in over_penalty], "o--", color=COLOURS[2], label="noise, evidential")
    by_penalty.plot(places, [fit.spread for fit in over_penalty], "o-", color=COLOURS[0], label="spread, evidential")
    by_penalty.set_xticks(places, [f"{fit.penalty:g}" for fit in over_penalty])
    by_penalty.set_yscale("log")
    by_penalty.set_xlabel("weight of the evidence regulariser")
    by_penalty.legend(frameon=False, fontsize=7)
    return svg(figure, "sweeps")
