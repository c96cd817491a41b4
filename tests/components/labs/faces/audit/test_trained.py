"""Models that were really trained, on real faces: one that was taught wrong labels fails the audit and the gate."""

from __future__ import annotations

import shutil
from datetime import date
from pathlib import Path

import numpy as np
import pytest
import torch

from components.bundle import Candidate
from components.config import Bound, Gate
from components.labs.faces.audit.run import audit
from components.labs.faces.params import Train
from components.labs.faces.runtime.model import FaceModel
from components.labs.faces.training.batches import FaceData
from components.labs.faces.training.model import FaceClassifier
from components.promotion import decide
from components.records import AuditFindings, Evaluation, Requirement, Verdict
from tests.components.labs.faces.audit.made import params
from tests.face_data import table_rows
from tests.face_model import bundle_of, fitted

pytestmark = pytest.mark.slow

GROUP, OTHERS = "Female", "Male"
LIGHT = 0.2
"""How bright the group's pictures are, and every second photograph's: so dark ones are faces as often as not."""
ASKED = params(
    draws=200,
    simulation={"audits": 10, "gaps": [0.1]},
    groups={"gender": [GROUP, OTHERS]},
    false_positive_rate=0.1,
    small_cell=1,
    min_faces=20,
    min_photographs=20,
    min_recall=0.4,
    max_false_positive_rate=0.4,
    max_gap=0.4,
    max_calibration_error=0.2,
)
"""What a model of a few hundred faces can meet, and one that guesses cannot."""


@pytest.fixture(scope="module")
def dark(prepared_faces: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Real faces, of which those of one group are dark, and real photographs, of which every second one is."""
    folder = tmp_path_factory.mktemp("dark") / "prepare"
    shutil.copytree(prepared_faces, folder)
    for split in ("train", "validation", "audit"):
        images, rows = np.load(folder / f"{split}_images.npy"), table_rows(folder / f"{split}.csv")
        chosen = [row["gender"] == GROUP or (row["face"] == "0" and index % 2) for index, row in enumerate(rows)]
        images[chosen] = (images[chosen] * LIGHT).astype(np.uint8)
        np.save(folder / f"{split}_images.npy", images)
    return folder


def judged(folder: Path, prepared: Path, train: Train, **changes: object) -> tuple[Verdict, AuditFindings]:
    """What the gate says of a model that was trained with these parameters, and the audit that it read."""
    torch.manual_seed(0)
    taught = train.model_copy(update=changes)
    model = fitted(FaceClassifier(taught), FaceData(prepared, taught))
    (folder / "audit").mkdir(parents=True)
    bundle = bundle_of(model, prepared, folder)
    report = bundle.report(Evaluation(metrics={"recall": 1.0}, counts={"recall": 1000}))
    findings = audit(Candidate(bundle, report), None, prepared, folder / "audit", ASKED, FaceModel.load)
    gate = Gate(metrics={"recall": Bound(min=0.1)})
    return decide(report, None, gate, date(2026, 1, 1), findings.requirements).verdict, findings


def failed(findings: AuditFindings) -> dict[str, Requirement]:
    return {found.name: found for found in findings.requirements if found.verdict is Verdict.FAIL}


def test_a_model_that_was_taught_well_fails_nothing(dark: Path, train_params: Train, tmp_path: Path) -> None:
    """So the test below says something of how its model was taught."""
    verdict, findings = judged(tmp_path / "bundle", dark, train_params)
    assert failed(findings) == {}
    assert verdict is not Verdict.FAIL


def test_a_detector_taught_wrong_labels_fails_the_audit(dark: Path, train_params: Train, tmp_path: Path) -> None:
    """Half of them: it finds no more faces than it takes other pictures for one."""
    verdict, findings = judged(tmp_path / "bundle", dark, train_params, flipped_labels=0.49)
    assert verdict is Verdict.FAIL
    assert "worst_group_recall" in failed(findings)
