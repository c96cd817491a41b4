"""The step evaluate says which model was measured, and leaves nothing half done."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from components.errors import BundleError, UserError
from components.labs import LABS, EvaluateContext, Inputs, find
from components.params import load
from components.records import Evaluation, EvaluationReport
from components.settings import project_root
from components.steps import LabStep
from components.steps.evaluate import evaluate
from components.tracking.journal import Run
from tests.components import bundles

MUSIC = find("music")
PARAMS = load(MUSIC, project_root() / "params.yaml")


class Measured(type(MUSIC)):  # type: ignore[misc]
    """A lab that finds whatever it is told to."""

    def __init__(self, **metrics: float) -> None:
        self.metrics = metrics
        self.calls = 0

    def evaluate(self, context: EvaluateContext) -> Evaluation:
        self.calls += 1
        self.measured_with = context.reference_models
        (context.out / "report.html").write_text("<p>measured</p>")
        return Evaluation(metrics=self.metrics, counts={"bits_per_char": 88}, serve={"variant": "int8"})


def run(lab: Measured, folder: Path) -> EvaluationReport:
    return evaluate(lab, PARAMS, Inputs(folder / "prepare"), folder / "export", folder / "evaluate")


def test_the_evaluation_names_its_model(tmp_path: Path) -> None:
    bundle = bundles.write(tmp_path / "export")
    run(Measured(bits_per_char=1.3, valid_sample_rate=0.9), tmp_path)
    out = tmp_path / "evaluate"
    written = EvaluationReport.model_validate_json((out / "evaluation.json").read_text())
    assert written.model_digest == bundle.digest
    assert written.provenance == bundle.manifest.provenance
    assert written.serve == {"variant": "int8"}
    assert json.loads((out / "metrics.json").read_text()) == {"bits_per_char": 1.3, "valid_sample_rate": 0.9}
    assert (out / "report.html").exists()


@pytest.mark.parametrize("broken", [math.nan, math.inf, -math.inf])
def test_a_metric_that_is_no_number_is_an_error_and_the_old_evaluation_stays(tmp_path: Path, broken: float) -> None:
    bundles.write(tmp_path / "export")
    run(Measured(bits_per_char=1.3), tmp_path)
    with pytest.raises(UserError, match="bits_per_char is"):
        run(Measured(bits_per_char=broken), tmp_path)
    assert json.loads((tmp_path / "evaluate" / "metrics.json").read_text()) == {"bits_per_char": 1.3}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["evaluate", "export"]


def test_a_damaged_bundle_is_never_measured(tmp_path: Path) -> None:
    bundles.write(tmp_path / "export")
    graph = tmp_path / "export" / "step.onnx"
    graph.write_bytes(graph.read_bytes()[:-1] + b"\0")
    lab = Measured(bits_per_char=1.3)
    with pytest.raises(BundleError):
        run(lab, tmp_path)
    assert lab.calls == 0
    assert not (tmp_path / "evaluate").exists()


def test_another_labs_bundle_is_refused(tmp_path: Path) -> None:
    bundles.write(tmp_path / "export")
    lab = Measured(bits_per_char=1.3)
    lab.name = "faces"
    with pytest.raises(BundleError, match="a bundle of the lab music, not of faces"):
        run(lab, tmp_path)


def test_another_labs_bundle_that_it_is_measured_with_is_recorded(tmp_path: Path) -> None:
    bundles.write(tmp_path / "export")
    reference = bundles.write(tmp_path / "reference", weight=9.0)
    lab = Measured(bits_per_char=1.3)
    lab.reference_models = ("music",)
    folders = {"music": tmp_path / "reference"}
    report = evaluate(lab, PARAMS, Inputs(tmp_path / "prepare"), tmp_path / "export", tmp_path / "evaluate", folders)
    assert report.reference_models == {"music": reference.digest}
    assert lab.measured_with["music"].digest == reference.digest
    written = EvaluationReport.model_validate_json((tmp_path / "evaluate" / "evaluation.json").read_text())
    assert written.reference_models == report.reference_models


def test_a_bundle_from_other_data_measures_nothing(tmp_path: Path) -> None:
    """A classifier of the starter data is a demonstration: real pictures are not measured with it."""
    bundles.write(tmp_path / "export")
    starter = bundles.PROVENANCE.model_copy(update={"data_profile": "starter"})
    bundles.write(tmp_path / "reference", weight=9.0, provenance=starter)
    lab = Measured(bits_per_char=1.3)
    lab.reference_models = ("music",)
    with pytest.raises(UserError, match=r"from the course data, .* from the starter data: run `make repro LAB=music`"):
        evaluate(
            lab,
            PARAMS,
            Inputs(tmp_path / "prepare"),
            tmp_path / "export",
            tmp_path / "evaluate",
            {"music": tmp_path / "reference"},
        )
    assert lab.calls == 0


def test_a_bundle_to_measure_with_that_is_missing_is_one_line_that_says_how_to_make_it(tmp_path: Path) -> None:
    bundles.write(tmp_path / "export")
    lab = Measured(bits_per_char=1.3)
    lab.reference_models = ("digits",)
    with pytest.raises(
        UserError, match=r"music is measured with the bundle of the lab digits.* `make repro LAB=digits`"
    ):
        run(lab, tmp_path)
    folders = {"digits": bundles.write(tmp_path / "reference").folder}
    with pytest.raises(BundleError, match="a bundle of the lab music, not of digits"):
        evaluate(lab, PARAMS, Inputs(tmp_path / "prepare"), tmp_path / "export", tmp_path / "evaluate", folders)
    assert lab.calls == 0


def test_it_is_measured_with_the_bundle_made_beside_it_and_told_what_to_run_where_there_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    run = Run(tmp_path / "run", "digit_generation evaluate")
    lab = find("digit_generation")
    this = LabStep(lab, PARAMS, bundles.PROVENANCE, Path("build"), Path("build/digit_generation/evaluate"), run)
    with pytest.raises(UserError, match=r"build/digits/export is missing .*: run `make repro LAB=digits` first"):
        this.reference_models()
    made = bundles.write(Path("build/digits/export")).folder
    assert this.reference_models() == {"digits": made}


def test_the_headline_is_what_people_look_at_and_the_details_are_everything(tmp_path: Path) -> None:
    bundles.write(tmp_path / "export")
    lab = Measured(zeta=0.5, **dict.fromkeys(reversed(MUSIC.headline), 0.25))
    run(lab, tmp_path)
    shown, details = (
        json.loads((tmp_path / "evaluate" / name).read_text()) for name in ("metrics.json", "details.json")
    )
    assert shown == dict.fromkeys(MUSIC.headline, 0.25)
    assert details == lab.metrics


NOT_GATED = ("drawn_per_character", "random_return", "expert_return")
"""What a headline may also show: a cost, and what others reach on the same episodes."""


@pytest.mark.parametrize("name", LABS)
def test_every_lab_has_a_headline_of_at_most_six_figures(name: str) -> None:
    assert 1 <= len(find(name).headline) <= 6
    assert set(find(name).headline) <= {*find(name).gate_metrics, *NOT_GATED}
