"""Simulated audits: how often a fair detector passes, how small a gap is caught, what wrong labels change."""

from __future__ import annotations

import numpy as np

from components.labs.faces.audit.criteria import WORSE, Codes, group_codes
from components.labs.faces.audit.measures import Flags
from components.labs.faces.audit.params import Audit
from components.labs.faces.audit.permutation import Ints
from components.labs.faces.audit.schema import NoisePoint, SimulatedPoint
from components.labs.faces.audit.table import Table
from components.stats import Floats


def simulation(table: Table, detected: Flags, params: Audit) -> tuple[SimulatedPoint, ...]:
    """Audits of detectors that find faces at the measured overall recall, in groups as large as the real ones.

    One group (the smallest of the first attribute, where a gap is hardest to see) is found less by a known gap; gap 0
    is a perfectly fair detector. The requirements on groups count: recall of the worst and gap, of every gated
    attribute at once. False positives would come on top.
    """
    attributes = list(params.groups)
    labels = np.stack([table.labels(attribute)[table.face] for attribute in attributes], axis=1)
    cells, trials = np.unique(labels, axis=0, return_counts=True)
    first = attributes[0]
    sizes = {group: int(trials[cells[:, 0] == group].sum()) for group in params.groups[first]}
    group = min((name for name in sizes if sizes[name]), key=lambda name: sizes[name], default="")
    recall = float(detected.mean())
    points = []
    for true_gap in (0.0, *params.simulation.gaps):
        random = np.random.default_rng(params.seed)
        rates = np.where(cells[:, 0] == group, max(0.0, recall - true_gap), recall)
        hits = random.binomial(trials, rates, size=(params.simulation.audits, len(trials)))
        codes = [
            group_codes(hits @ member, trials @ member, params)
            for index, attribute in enumerate(attributes)
            for member in [_membership(cells[:, index].tolist(), params.groups[attribute])]
        ]
        points.append(SimulatedPoint(group=group, gap=true_gap, verdicts=_shares(np.max(codes, axis=0))))
    return tuple(points)


def label_noise(table: Table, detected: Flags, params: Audit) -> tuple[NoisePoint, ...]:
    """What the verdict on each gated attribute would be if some of its labels were wrong.

    Wrong labels are dealt to the other groups by their sizes, as often as there are simulated audits. Random mistakes
    make groups alike, so more of them can hide a gap: `true_gap` undoes that for mistakes that are in the labels now.
    """
    points = []
    for attribute, groups in params.groups.items():
        labels = table.labels(attribute)[table.face]
        trials = np.array([(labels == group).sum() for group in groups])
        successes = np.array([detected[labels == group].sum() for group in groups])
        if np.count_nonzero(trials) < len(groups):
            continue
        for share in params.label_noise:
            random = np.random.default_rng(params.seed)
            draws = params.simulation.audits
            hits = _relabelled(successes, trials, share, draws, random)
            misses = _relabelled(trials - successes, trials, share, draws, random)
            recall = hits / np.maximum(hits + misses, 1)
            points.append(
                NoisePoint(
                    attribute=attribute,
                    share=share,
                    verdicts=_shares(group_codes(hits, hits + misses, params)),
                    gap=float((recall.max(1) - recall.min(1)).mean()),
                    true_gap=_true_gap(successes / trials, trials, share),
                )
            )
    return tuple(points)


def _membership(labels: list[str], groups: tuple[str, ...]) -> Ints:
    """(cells, groups): 1 where a cell's faces belong to a group."""
    return np.array([[int(label == group) for group in groups] for label in labels])


def _mistakes(trials: Ints) -> Floats:
    """(groups, groups): where a wrong label comes from, for each group by the sizes of the others."""
    others = np.where(np.eye(len(trials), dtype=bool), 0, trials)
    return np.asarray(others / others.sum(1, keepdims=True), float)


def _relabelled(counts: Ints, trials: Ints, share: float, draws: int, random: np.random.Generator) -> Ints:
    """Faces of each group after a share of them was given another label: (draws, groups)."""
    leaving = random.binomial(counts, share, size=(draws, len(counts)))
    arriving = random.multinomial(leaving, _mistakes(trials))
    return np.asarray(counts - leaving + arriving.sum(1), np.int64)


def _true_gap(recall: Floats, trials: Ints, share: float) -> float:
    """The gap of true groups, if each observed group is a mixture of them with this share of others."""
    mixture = (1 - share) * np.eye(len(trials)) + share * _mistakes(trials)
    unmixed = np.clip(np.linalg.lstsq(mixture, recall)[0], 0, 1)
    return float(unmixed.max() - unmixed.min())


def _shares(codes: Codes) -> dict[str, float]:
    return {str(verdict): float(np.mean(codes == code)) for code, verdict in enumerate(WORSE)}
