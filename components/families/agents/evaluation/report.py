"""report.html: how well the agent plays, beside others, what disturbs it, and how it learnt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from components.datasets.environments.reader import Environment
from components.families.agents.evaluation.measures import Returns
from components.families.agents.evaluation.published import Published
from components.files import read_json, write_text
from components.report.model import about, limitations, variants
from components.report.page import data_address, figure, image, note, page, section, table
from components.report.plots import COOL, MUTED, WARM, bars, lines

if TYPE_CHECKING:
    from components.bundle import Bundle

FILM = "progress.gif"
HISTORY = "training.json"
RETURNS = ("train_return", "val_return", "val_noisy_return")
OTHERS = {
    "entropy (nats)": ("train_entropy",),
    "share of random actions": ("train_exploration",),
    "squared value error": ("train_value_error",),
    "explained variance": ("train_explained_variance",),
}
"""Curves beside the returns', by what they measure."""


class Findings(NamedTuple):
    """All that the report shows. failures: (caption, PNG) of film strips."""

    bundle: Bundle
    served: str
    variants: Mapping[str, Mapping[str, float]]
    metrics: Mapping[str, float]
    returns: Returns
    chance: Returns
    disturbed: Mapping[str, float]
    published: Sequence[Published]
    failures: Sequence[tuple[str, bytes]]
    limitations: Sequence[str]


def write_report(path: Path, found: Findings, environment: Environment) -> None:
    sections = [
        about(found.bundle.manifest, found.served, algorithm=escape(found.bundle.spec["algorithm"])),
        _result(found, environment),
        _robustness(found),
        _film(found),
        _training(found),
        _failures(found, environment),
        variants(found.variants, 2),
        limitations(found.limitations),
    ]
    write_text(path, page(f"{environment.name}: how the agent plays", sections))


def _result(found: Findings, environment: Environment) -> str:
    metrics = found.metrics
    rows = [
        ("this agent", f"{metrics['mean_return']:.1f}", f"{len(found.returns)} test episodes here"),
        *((escape(each.agent), each.shown, escape(each.source)) for each in found.published),
        ("random actions", f"{metrics['random_return']:.1f}", f"{len(found.chance)} test episodes here"),
    ]
    plot = lines(
        range(1, len(found.returns) + 1),
        {"agent": sorted(found.returns), "random_actions": sorted(found.chance)},
        "episodes, the worst first",
        "return",
        {"agent": COOL, "random_actions": MUTED},
    )
    interval = f"{metrics['mean_return_low']:.1f} to {metrics['mean_return_high']:.1f}"
    return section(
        "Returns",
        f"<p>Over {len(found.returns)} test episodes the mean return is <strong>{metrics['mean_return']:.1f}</strong> "
        f"(95 % interval {interval}), the median {metrics['median_return']:.1f} and the lowest "
        f"{metrics['min_return']:.1f}. {100 * metrics['solved_share']:.0f} % of the episodes reach "
        f"{environment.solved_return:g}.</p>",
        table(rows, ["agent", "mean return", "measured"]),
        figure("Returns of the test episodes", plot),
        note(
            "Each episode has a seed of its own that training and validation never use, and is played to its end in "
            f"gymnasium's own {escape(environment.id)} by the exported graph, which takes the likeliest action."
        ),
    )


def _robustness(found: Findings) -> str:
    plot = bars(
        list(found.disturbed), {"mean_return": list(found.disturbed.values())}, "", "mean return", {"mean_return": WARM}
    )
    return section(
        "Robustness",
        figure("Mean return under noise on observations, and when they come late", plot),
        note(
            "Noise is Gaussian; its standard deviation is a share of the unit of each observed number "
            f"({', '.join(f'{unit:g}' for unit in found.bundle.spec['observation_unit'])}). A delay is in steps."
        ),
    )


def _film(found: Findings) -> str:
    path = found.bundle.folder / FILM
    if not path.is_file():
        return ""
    picture = image(data_address(path.read_bytes(), "gif"), "the agent at several stages of its training")
    return section("How it learnt", figure("The same validation episode after more and more epochs", picture, "film"))


def _training(found: Findings) -> str:
    """Curves of what export recorded of the epochs, against steps of the game; those of returns also against time."""
    path = found.bundle.folder / HISTORY
    if not path.is_file():
        return ""
    columns = read_json(path)
    if not columns["epoch"]:
        return ""
    steps, seconds = (columns["env_steps"], "steps of the game"), (columns["seconds"], "seconds of training")
    plots = [_curves("return", RETURNS, columns, *axis) for axis in (steps, seconds)]
    plots += [_curves(label, names, columns, *steps) for label, names in OTHERS.items()]
    return section(
        "Its training",
        note(
            f"{columns['env_steps'][-1]:,.0f} steps of the game in {columns['seconds'][-1]:,.0f} seconds, validation "
            "included. A point is an epoch; the curves end with the epoch that was exported, the best on validation "
            "episodes. The returns of training are of actions that are drawn, those of validation of the likeliest "
            "ones; the noisy ones see observations with noise. The value's error is in units of return_unit; its "
            "explained variance is the share of the returns' variance that it predicts."
        ),
        *plots,
    )


def _curves(
    label: str, names: Sequence[str], columns: Mapping[str, Sequence[float]], x: Sequence[float], x_label: str
) -> str:
    """A plot of the columns that there are; nothing where there are none."""
    series = {name: columns[name] for name in names if name in columns}
    if not series:
        return ""
    colours = dict(zip(series, (MUTED, COOL, WARM), strict=False))
    return figure(f"{label.capitalize()}, against {x_label}", lines(x, series, x_label, label, colours, marked=True))


def _failures(found: Findings, environment: Environment) -> str:
    if not found.failures:
        return section("Failures", f"<p>No test episode ended below {environment.solved_return:g}.</p>")
    strips = [figure(caption, image(data_address(png, "png"), caption), "film") for caption, png in found.failures]
    return section("Failures", note("The last steps of the worst episodes, every third one."), *strips)
