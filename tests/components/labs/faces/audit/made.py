"""Detectors made to order: scores with known recall by group, on as many faces and crops as asked for."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from components.labs.faces.audit.analysis import Evidence
from components.labs.faces.audit.params import Audit
from components.labs.faces.audit.table import AGE_ORDER, Scored, Table
from tests.face_data import section

RACES = {
    "Black": 726,
    "East Asian": 725,
    "Indian": 681,
    "Latino_Hispanic": 715,
    "Middle Eastern": 527,
    "Southeast Asian": 664,
    "White": 962,
}
"""Faces of FairFace's validation pictures in the mirror."""


def params(**changes: object) -> Audit:
    """Those of params.yaml, with fewer draws unless told otherwise."""
    simulation = {"audits": 100, "gaps": [0.05, 0.1]}
    return section(Audit, "faces", "audit", **{"draws": 1000, "simulation": simulation, **changes})


def table(sizes: Mapping[str, int] = RACES, photographs: int = 400, crops: int = 10, seed: int = 0) -> Table:
    """Faces by perceived race, half of them perceived as female, then crops of photographs, every eighth one hard."""
    random = np.random.default_rng(seed)
    race = np.repeat(list(sizes), list(sizes.values()))
    faces, negatives = len(race), photographs * crops
    photo = np.repeat(np.arange(photographs), crops)
    blank = np.full(negatives, "")
    face_id = [f"val/{index}.jpg" for index in range(faces)]
    negative_file = [f"101/kind{index % 20}/{index}.jpg" for index in photo]
    return Table(
        id=np.array([*face_id, *(f"crop{index}" for index in range(negatives))]),
        file=np.array([*face_id, *negative_file]),
        photo=np.array([*face_id, *negative_file]),
        face=np.arange(faces + negatives) < faces,
        hard=np.concatenate([np.zeros(faces, bool), photo % 8 == 0]),
        race=np.concatenate([race, blank]),
        gender=np.concatenate([np.where(np.arange(faces) % 2, "Male", "Female"), blank]),
        age=np.concatenate([random.choice(AGE_ORDER, faces), blank]),
    )


def scores(of: Table, recall: float = 0.975, seed: int = 1, **by_race: float) -> Scored:
    """Logits that find that share of the faces of every group (by_race: of some) at the threshold 0.

    Exactly that share, rounded, so that a test of the verdict is not a test of luck. Of the negatives 0.8 % pass.
    """
    random = np.random.default_rng(seed)
    logits = np.where(of.face, 6.0, -6.0) + random.normal(0, 0.5, len(of))
    wanted = {**dict.fromkeys(RACES, recall), **{name.replace("_", " "): value for name, value in by_race.items()}}
    for name, share in wanted.items():
        faces = np.flatnonzero(of.race == name)
        missed = random.permutation(faces)[: round((1 - share) * len(faces))]
        logits[missed] = -1 - random.random(len(missed))
    negatives = np.flatnonzero(~of.face)
    logits[random.permutation(negatives)[: round(0.008 * len(negatives))]] = 1.0
    return Scored(of, logits)


def evidence(audit: Scored, champion: Scored | None = None) -> Evidence:
    """As it was at the threshold 0."""
    validation = scores(table({"White": 200, "Black": 200}, photographs=200, seed=5), seed=6)
    found = None if champion is None else champion.logits[champion.table.face] >= 0
    return Evidence(validation, audit, threshold=0.0, champion=found)
