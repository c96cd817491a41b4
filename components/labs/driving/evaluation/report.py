"""report.html of a driver, for readers who do not train models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

import numpy as np

from components.bundle import Bundle
from components.files import read_json, write_text
from components.labs.driving.evaluation.episodes import Drive
from components.labs.driving.evaluation.measures import UNITS, Disturbed, costliest
from components.report.model import about, limitations
from components.report.page import data_address, figure, image, note, page, section, table
from components.report.pictures import save_png, sheet
from components.report.plots import COOL, MUTED, lines

ACROSS = 12
"""Frames of a film strip."""
EVERY = 2
"""Decisions between two frames of a strip."""
PUBLISHED = (
    ("World Models (Ha and Schmidhuber 2018)", "906 +- 21, over 100 tracks, of CarRacing-v0"),
    ("PPO from pixels, public model cards", "175 to 597"),
)
COURSE = (
    "The course has no recipe for this game: its lab drives with REINFORCE in the simulator VISTA, whose package does "
    "not import beside the versions of this project, and which needs recorded drives."
)
LEARNT_BY = {
    "dagger": "imitation of a privileged expert (DAgger)",
    "dagger+ppo": "imitation of a privileged expert (DAgger), then rewards (PPO)",
}
FILM = "progress.gif"
HISTORY = "training.json"


@dataclass(frozen=True)
class Findings:
    """All that the report tells. others: episodes on the same tracks by name of who drove."""

    bundle: Bundle
    metrics: Mapping[str, float]
    variants: Mapping[str, Mapping[str, float]]
    served: str
    drives: Sequence[Drive]
    others: Mapping[str, Sequence[Drive]]
    disturbed: Disturbed
    strips: int
    limitations: Sequence[str]


def write_report(out: Path, findings: Findings) -> None:
    """Writes report.html and strips.png into `out`."""
    metrics = findings.metrics
    worst = sorted(findings.drives, key=lambda found: found.total)[: findings.strips]
    save_png(out / "strips.png", sheet(np.concatenate([strip(found) for found in worst]), ACROSS))
    strips = data_address((out / "strips.png").read_bytes(), "png")
    lost = "; ".join(f"seed {found.seed}: {found.total:.0f}" for found in worst)
    sections = [
        about(findings.bundle.manifest, findings.served, learnt_by=LEARNT_BY[findings.bundle.spec["algorithm"]]),
        section(
            "Returns on test tracks",
            table(_returns(findings), ["driver", "mean", "median", "lowest", "tracks"]),
            note(
                f"The mean's 95 % bootstrap interval is {metrics['mean_return_low']:.1f} to "
                f"{metrics['mean_return_high']:.1f}. {metrics['solved_share']:.0%} of the tracks are solved. The "
                "network was driven in gymnasium's own game, every frame drawn."
            ),
            table(PUBLISHED, ["published", "return"]),
            note(f"Published figures are of an earlier version of the game, and of other tracks. {COURSE}"),
        ),
        section(
            "What it sees, disturbed",
            table(_disturbances(findings.disturbed), ["disturbance", "mean", "lowest", "tracks"]),
        ),
        section(
            "Variants",
            table(
                [
                    (escape(name), *(f"{found[key]:.1f}" for key in ("validation_return", "validation_min_return")))
                    for name, found in findings.variants.items()
                ],
                ["variant", "mean on validation tracks", "lowest"],
            ),
        ),
        limitations(findings.limitations),
        *_training(findings.bundle),
        *_film(findings.bundle),
        section("Where the worst episodes lost their time", note(escape(lost))),
        figure("A row an episode, the worst first", image(strips, "Film strips of the worst episodes"), "pixels"),
    ]
    write_text(out / "report.html", page(f"Evaluation of the lab {findings.bundle.manifest.lab}", sections))


def strip(found: Drive) -> np.ndarray:
    """(ACROSS, 96, 96, 3): frames from where the episode gained the least."""
    first = costliest(found, ACROSS * EVERY)
    places = [min(first + EVERY * index, len(found.frames) - 1) for index in range(ACROSS)]
    return np.stack([found.frames[place] for place in places])


def _returns(findings: Findings) -> list[tuple[str, ...]]:
    drivers = {"this network": findings.drives, **findings.others}
    totals = {name: [found.total for found in drives] for name, drives in drivers.items()}
    return [
        (escape(name), f"{np.mean(found):.1f}", f"{np.median(found):.1f}", f"{min(found):.1f}", str(len(found)))
        for name, found in totals.items()
    ]


def _disturbances(disturbed: Disturbed) -> list[tuple[str, ...]]:
    rows = list[tuple[str, ...]]()
    for (kind, level), drives in disturbed.items():
        totals = [found.total for found in drives]
        name = f"{kind} {level:g} {UNITS[kind]}" if kind in UNITS else "none"
        rows.append((name, f"{np.mean(totals):.1f}", f"{min(totals):.1f}", str(len(totals))))
    return rows


def _training(bundle: Bundle) -> list[str]:
    """Returns after each epoch against the frames that were driven for it, and against time."""
    columns = read_json(bundle.folder / HISTORY)
    series = {name: columns[name] for name in ("val_return", "round_return")}
    colours = {"val_return": COOL, "round_return": MUTED}
    axes = {"driven_frames": "frames driven in training", "seconds": "seconds of training"}
    caption = "Mean return on validation tracks after each round, and of the rollouts of the round, against"
    plots = [
        figure(f"{caption} {label}", lines(columns[name], series, label, "return", colours, marked=True))
        for name, label in axes.items()
    ]
    said = f"{columns['driven_frames'][-1]:,.0f} frames in {columns['seconds'][-1]:,.0f} seconds, validation included."
    return [section("Training", note(f"{said} The curves end with the round that was exported.")), *plots]


def _film(bundle: Bundle) -> list[str]:
    path = bundle.folder / FILM
    if not path.exists():
        return []
    rounds = ", ".join(map(str, bundle.spec["film_rounds"]))
    caption = f"A validation track after rounds {rounds} of training, from left to right"
    return [section("Learning"), figure(caption, image(data_address(path.read_bytes(), "gif"), caption), "pixels")]
