"""dvc.yaml says the same of every lab as the lab itself: DVC cannot ask it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from components.datasets import DATASETS
from components.labs import LABS, find
from components.repro import SHOWN

PROJECT = Path(__file__).resolve().parent.parent
DVC: dict[str, Any] = yaml.safe_load((PROJECT / "dvc.yaml").read_text())
LINES: dict[str, dict[str, str]] = DVC["vars"][0]["labs"]
PLOTS: dict[str, dict[str, Any]] = {name: plot for each in DVC["plots"] for name, plot in each.items()}


def test_every_lab_has_its_line_and_every_dataset_its_block() -> None:
    assert set(LINES) == set(LABS)
    assert tuple(LINES)[: len(SHOWN)] == SHOWN, "what is made where no lab is named comes first of all"
    assert set(DVC["stages"]["audit"]["foreach"]) == {lab for lab in LABS if find(lab).audited}
    assert set(yaml.safe_load((PROJECT / "params.yaml").read_text())["datasets"]) == set(DATASETS)


@pytest.mark.parametrize("name", LABS)
def test_a_lab_waits_for_what_it_declares(name: str) -> None:
    lab, line = find(name), LINES[name]
    after = [f"{model}/gate/verdict.json" for model in lab.reference_models] or [f"{lab.dataset}/validate"]
    gate_reads = "audit" if lab.audited else "evaluate"
    assert line == {"dataset": lab.dataset, "evaluate_after": after[0], "gate_reads": gate_reads}
    assert len(after) == 1


@pytest.mark.parametrize("stage", [name for name in DVC["stages"] if name != "versions"])
def test_every_stage_depends_on_the_version_of_its_own_code(stage: str) -> None:
    (own,) = [dep for dep in DVC["stages"][stage]["do"]["deps"] if dep.startswith("build/versions/")]
    assert own.endswith(f"/{stage}")
    assert not [dep for dep in DVC["stages"][stage]["do"]["deps"] if dep.startswith("components")]


@pytest.mark.parametrize("name", LABS)
def test_dvc_shows_the_metrics_and_a_plot_of_every_lab(name: str) -> None:
    lab = find(name)
    for step in ("evaluate", "audit") if lab.audited else ("evaluate",):
        assert f"build/{name}/{step}/metrics.json" in DVC["metrics"]
    assert [plot for plot in PLOTS.values() if any(file.startswith(f"build/{name}/") for file in plot["y"])]
