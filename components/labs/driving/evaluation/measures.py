"""What is said of an exported driver's episodes: figures, and sentences for those who use it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from components.labs.driving.evaluation.episodes import Drive

Disturbed = dict[tuple[str, float], list[Drive]]
"""Episodes by the kind of disturbance and its level; "none" is without one, on the same tracks."""

RESAMPLES = 10_000
UNITS = {"noise": "of 255", "delay": "frames"}


def summary(drives: Sequence[Drive], solved: float, seed: int) -> dict[str, float]:
    """Mean, median, minimum and share of solved episodes; ends of the 95 % bootstrap interval of the mean."""
    totals = np.array([found.total for found in drives])
    rows = np.random.default_rng(seed).integers(len(totals), size=(RESAMPLES, len(totals)))
    low, high = np.quantile(totals[rows].mean(axis=1), (0.025, 0.975))
    return {
        "mean_return": float(totals.mean()),
        "mean_return_low": float(low),
        "mean_return_high": float(high),
        "median_return": float(np.median(totals)),
        "min_return": float(totals.min()),
        "solved_share": float((totals >= solved).mean()),
        "mean_frames": float(np.mean([found.length for found in drives])),
    }


def costliest(found: Drive, window: int) -> int:
    """The decision at which the `window` decisions begin that gained the least: where an episode lost its time."""
    gained = np.convolve(found.rewards, np.ones(min(window, len(found.rewards))), mode="valid")
    # The last window ends with the episode, on a lap's last tile.
    return int(gained.argmin())


def limitations(
    metrics: Mapping[str, float], drives: Sequence[Drive], disturbed: Disturbed, solved: float
) -> Iterator[str]:
    """Sentences, with the measured values that say so, for those who use the model."""
    yield (
        "It imitates a driver that reads the simulator's state. It was trained on labels, not on rewards, and its "
        f"teacher's mean return on the same tracks is {metrics['expert_return']:.1f}."
    )
    missed = [found for found in drives if found.total < solved]
    if missed:
        worst = min(missed, key=lambda found: found.total)
        yield (
            f"{len(missed)} of {len(drives)} tracks end below {solved:g}; the worst, of seed {worst.seed}, "
            f"at {worst.total:.0f}."
        )
    for (kind, level), found in disturbed.items():
        if kind in UNITS:
            mean = float(np.mean([driven.total for driven in found]))
            what = f"noise of {level:g} {UNITS[kind]}" if kind == "noise" else f"a delay of {level:g} {UNITS[kind]}"
            yield f"Under {what} its mean return is {mean:.0f} over {len(found)} tracks."
    yield "It knows one game with one set of colours: it drives no other car, and no other picture of this one."
