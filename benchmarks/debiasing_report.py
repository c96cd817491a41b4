"""What the cells of `benchmarks.debiasing` say: report.md, summary.json, cells.csv and plot.svg."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from scipy import stats

from components.files import write_json, write_text
from components.labs.faces.audit.measures import disparities
from components.labs.faces.audit.permutation import holm

PUBLISHED = """\
| published, faces only, at even odds | mean recall | variance over groups | precision |
|---|---:|---:|---:|
| Amini et al. 2019, four groups of PPB: without debiasing | 95.13 | 28.84 | not given |
| alpha 0.1 | 95.84 | 25.43 | not given |
| alpha 0.05 | 96.47 | 18.08 | not given |
| alpha 0.01 | 97.13 | 9.49 | not given |
| alpha 0.001 | 97.36 | 9.43 | not given |
| a replication (JMitnik/FacialDebiasing): without debiasing | | 33.30 | 84.8 |
| with debiasing | | 17.11 | 80.5 |
"""
EVEN_ODDS = "even odds"
CONFIDENCE = 0.95


class Point(NamedTuple):
    """A cell at one threshold. Shares in percent, variance in squared points, over groups of perceived race."""

    recall: float
    variance: float
    by_chance: float
    """The variance that groups of these sizes would show if all were found equally well."""
    worst: float
    precision: float
    false_positives: float
    hard_false_positives: float
    groups: dict[str, float]


class Interval(NamedTuple):
    mean: float
    low: float
    high: float
    p_value: float = float("nan")


def point(counts: dict[str, Any]) -> Point:
    """Precision is that of the split's own mixture of faces and negatives."""
    found, of = (_by_race(counts[name]) for name in ("found", "of"))
    names = list(of)
    hits, faces = (np.array([part[name] for name in names], float) for part in (found, of))
    overall = hits.sum() / faces.sum()
    unequal = disparities(hits, faces)
    return Point(
        recall=100 * overall,
        variance=float(unequal["variance"]),
        by_chance=float(1e4 * (overall * (1 - overall) / faces).mean() * (1 - 1 / len(faces))),
        worst=100 * float((hits / faces).min()),
        precision=100 * hits.sum() / max(1.0, hits.sum() + counts["false_positives"]),
        false_positives=100 * counts["false_positives"] / counts["negatives"],
        hard_false_positives=100 * (counts["hard_false_positive_rate"] or 0.0),
        groups={name: 100 * float(hit / face) for name, hit, face in zip(names, hits, faces, strict=True)},
    )


def _by_race(counts: dict[str, int]) -> dict[str, int]:
    """Cells are called "<race> <gender>"."""
    races: dict[str, int] = {}
    for cell, count in counts.items():
        race = cell.rsplit(" ", 1)[0]
        races[race] = races.get(race, 0) + count
    return races


def mean_of(values: Sequence[float]) -> Interval:
    """Student's interval for the mean over seeds; its p-value is that of a mean of 0 (paired differences).

    Of one seed, or of seeds that do not differ at all, there is no interval: its ends and the p-value are nan.
    """
    array, unknown = np.asarray(values, float), float("nan")
    if len(array) < 2 or not array.std() > 0:
        return Interval(float(array.mean()) if len(array) else unknown, unknown, unknown)
    reach = stats.t.ppf((1 + CONFIDENCE) / 2, len(array) - 1) * array.std(ddof=1) / len(array) ** 0.5
    centre = float(array.mean())
    return Interval(centre, centre - reach, centre + reach, float(stats.ttest_1samp(array, 0.0).pvalue))


def compared(ours: Sequence[Point], standard: Sequence[Point]) -> dict[str, Interval]:
    """Of the same seeds: how many times the variance is (geometric mean), and differences in points of the rest.

    A seed on which either finds all groups exactly alike has no ratio.
    """
    pairs = list(zip(ours, standard, strict=True))
    ratio = mean_of([np.log(one.variance / other.variance) for one, other in pairs if one.variance and other.variance])
    mean, low, high = (float(np.exp(end)) for end in ratio[:3])
    found = {"variance_ratio": Interval(mean, low, high, ratio.p_value)}
    for name in ("recall", "worst", "precision", "false_positives"):
        found[name] = mean_of([getattr(one, name) - getattr(other, name) for one, other in pairs])
    return found


def summary(results: Sequence[dict[str, Any]], split: str, at: str) -> dict[str, dict[str, Any]]:
    """By set and arm: what was measured, and beside the set's first arm; p-values are corrected over a set's arms."""
    found: dict[str, dict[str, Any]] = {}
    for name in dict.fromkeys(result["set"] for result in results):
        of_set = [result for result in results if result["set"] == name]
        arms = list(dict.fromkeys(result["arm"] for result in of_set))
        by_seed = {arm: {r["seed"]: point(r[split]["at"][at]) for r in of_set if r["arm"] == arm} for arm in arms}
        found[name] = {}
        for arm in arms:
            points = list(by_seed[arm].values())
            found[name][arm] = {
                "seeds": len(points),
                **{
                    field: _level([getattr(one, field) for one in points])
                    for field in Point._fields
                    if field != "groups"
                },
                "groups": {race: _level([one.groups[race] for one in points]) for race in points[0].groups},
                "roc_auc": _level([r[split]["roc_auc"] for r in of_set if r["arm"] == arm]),
                "times_as_often": _times(of_set, arm),
            }
            seeds = sorted(by_seed[arm].keys() & by_seed[arms[0]].keys())
            if arm != arms[0] and len(seeds) > 1:
                pairs = ([by_seed[one][seed] for seed in seeds] for one in (arm, arms[0]))
                found[name][arm]["compared"] = compared(*pairs)
        _correct(found[name])
    return found


def _level(values: Sequence[float]) -> Interval:
    """That a share is not 0 needs no test."""
    return mean_of(values)._replace(p_value=float("nan"))


def _times(results: Sequence[dict[str, Any]], arm: str) -> float | None:
    """How often the resampling of a trained model draws a face of the skewed group, 1 being as often as any face."""
    found = [
        result["favoured"]["times_as_often"].get(result["train"]["skew_group"])
        for result in results
        if result["arm"] == arm and result["favoured"] and result["train"]["skew_group"]
    ]
    known = [value for value in found if value is not None]
    return float(np.mean(known)) if known else None


def _correct(arms: dict[str, Any]) -> None:
    others = [found["compared"] for found in arms.values() if "compared" in found]
    for measure in others[0] if others else ():
        p_values = holm([np.nan_to_num(other[measure].p_value, nan=1.0) for other in others])
        for other, p_value in zip(others, p_values, strict=True):
            other[measure] = other[measure]._replace(p_value=float(p_value))


def write_report(results: Sequence[dict[str, Any]], plan: str, rates: Sequence[float], out: Path) -> None:
    """Writes the four files into `out`; nothing where there are no results."""
    if not results:
        return
    points = [f"{rates[0]:g}", EVEN_ODDS]
    summaries = {at: summary(results, "audit", at) for at in points}
    write_json(out / "summary.json", _plain(summaries))
    write_text(out / "cells.csv", _cells(results))
    write_text(out / "plot.svg", _plot(summaries, results))
    parts = [f"# Debiasing, plan `{plan}`\n"]
    titles = {points[0]: f"at {100 * rates[0]:g} % false positives on held-out negatives", EVEN_ODDS: "at even odds"}
    for at in points:
        for name, arms in summaries[at].items():
            parts += [f"## {name}, {titles[at]}\n", _table(arms), _groups(arms)]
    parts += ["## Published\n", PUBLISHED]
    write_text(out / "report.md", "\n".join(parts))


def _table(arms: dict[str, Any]) -> str:
    head = (
        "arm | seeds | recall | variance over groups | times standard's (p) | worst group | precision | "
        "difference (p) | false positives | skewed group drawn"
    )
    lines = [f"| {head} |", "|---|" + "---:|" * head.count("|")]
    for arm, found in arms.items():
        beside = found.get("compared")
        ratio = difference = ""
        if beside:
            one, other = beside["variance_ratio"], beside["precision"]
            ratio = f"{one.mean:.2f} ({one.low:.2f} to {one.high:.2f}; p {one.p_value:.2g})"
            difference = f"{other.mean:+.2f} ({other.low:+.2f} to {other.high:+.2f}; p {other.p_value:.2g})"
        times = found["times_as_often"]
        cells = [
            arm,
            str(found["seeds"]),
            _spread(found["recall"]),
            f"{_spread(found['variance'])}; chance {found['by_chance'].mean:.1f}",
            ratio,
            _spread(found["worst"]),
            _spread(found["precision"], 2),
            difference,
            _spread(found["false_positives"], 2),
            "" if times is None else f"{times:.2f} times",
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _groups(arms: dict[str, Any]) -> str:
    races = list(next(iter(arms.values()))["groups"])
    lines = ["| recall of perceived | " + " | ".join(races) + " |", "|---|" + "---:|" * len(races)]
    for arm, found in arms.items():
        lines.append(f"| {arm} | " + " | ".join(f"{found['groups'][race].mean:.1f}" for race in races) + " |")
    return "\n".join(lines) + "\n"


def _spread(found: Interval, digits: int = 1) -> str:
    return f"{found.mean:.{digits}f} ({found.low:.{digits}f} to {found.high:.{digits}f})"


def _cells(results: Sequence[dict[str, Any]]) -> str:
    """A row a cell, split ("validation" is the held-out images) and threshold."""
    text = io.StringIO()
    races = list(point(next(iter(results[0]["audit"]["at"].values()))).groups)
    writer = csv.writer(text, lineterminator="\n")
    fields = [field for field in Point._fields if field != "groups"]
    writer.writerow(["set", "arm", "seed", "split", "at", *fields, *(f"recall {race}" for race in races), "seconds"])
    for result in results:
        named = [result["set"], result["arm"], result["seed"]]
        for split in ("audit", "validation"):
            for at, counts in result[split]["at"].items():
                found = point(counts)
                values = [getattr(found, field) for field in fields] + list(found.groups.values())
                writer.writerow([*named, split, at, *(f"{value:.4g}" for value in values), result["seconds"]])
    return text.getvalue()


def _plain(value: Any) -> Any:
    """JSON: tuples with names as dictionaries, what is no number as null."""
    if isinstance(value, Interval):
        return {name: _plain(part) for name, part in value._asdict().items() if np.isfinite(part)}
    if isinstance(value, dict):
        return {key: _plain(part) for key, part in value.items()}
    return round(value, 6) if isinstance(value, float) else value


def _plot(summaries: dict[str, dict[str, dict[str, Any]]], results: Sequence[dict[str, Any]]) -> str:
    """A row a threshold: variance and precision of every cell, means over seeds as bars."""
    import matplotlib
    from matplotlib.figure import Figure

    measures: dict[str, Callable[[Point], float]] = {
        "variance of recall over groups": lambda found: found.variance,
        "precision, %": lambda found: found.precision,
    }
    arms = list(next(iter(next(iter(summaries.values())).values())))
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "debiasing", "font.size": 9}):
        figure = Figure(figsize=(9.5, 3.2 * len(summaries)), layout="constrained")
        axes = figure.subplots(len(summaries), len(measures), squeeze=False)
        for row, (at, sets) in zip(axes, summaries.items(), strict=True):
            for axis, (title, of_point) in zip(row, measures.items(), strict=True):
                for number, name in enumerate(sets):
                    colour, aside = f"C{number}", 0.24 * (number - (len(sets) - 1) / 2)
                    for place, arm in enumerate(arms):
                        values = [
                            of_point(point(r["audit"]["at"][at]))
                            for r in results
                            if (r["set"], r["arm"]) == (name, arm)
                        ]
                        axis.plot([place + aside] * len(values), values, "o", color=colour, alpha=0.45, markersize=4)
                        ends = [place + aside - 0.1, place + aside + 0.1]
                        axis.plot(ends, [np.mean(values)] * 2, color=colour, lw=2.5)
                    axis.plot([], [], "o", color=colour, label=name)
                where = "at even odds" if at == EVEN_ODDS else f"at {100 * float(at):g} % false positives"
                axis.set_title(f"{title}, {where}", loc="left")
                axis.set_xticks(range(len(arms)), arms, rotation=25, ha="right")
                axis.spines[["top", "right"]].set_visible(False)
                if title.startswith("variance"):
                    axis.set_ylim(bottom=0)
        axes[0][0].legend(frameon=False)
        text = io.StringIO()
        figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None})
    return text.getvalue()
