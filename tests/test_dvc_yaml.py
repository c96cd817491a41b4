"""dvc.yaml says the same of every lab as the lab itself: DVC cannot ask it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from components.labs import LABS, find

PROJECT = Path(__file__).resolve().parent.parent
DVC: dict[str, Any] = yaml.safe_load((PROJECT / "dvc.yaml").read_text())
VARS: dict[str, dict[str, dict[str, str]]] = {name: value for each in DVC["vars"] for name, value in each.items()}
PLOTS: dict[str, dict[str, Any]] = {name: plot for each in DVC["plots"] for name, plot in each.items()}


def test_every_lab_has_its_line() -> None:
    assert set(VARS["labs"]) == set(LABS)
    assert set(VARS["audited"]) == {lab for lab in LABS if find(lab).audited}


@pytest.mark.parametrize("name", LABS)
def test_a_lab_waits_for_the_code_and_the_bundles_that_it_names(name: str) -> None:
    """A stage that does not depend on shared code is skipped when that changes; an instrument would be an old one."""
    lab, line = find(name), VARS["labs"][name]
    assert {line["shared"], line["also"]} - {f"labs/{name}"} == set(lab.shared), "shared, also: Lab.shared"
    assert {line["instrument"]} - {name} == set(lab.instruments), "instrument: Lab.instruments"
    assert line["judged"] == ("audit" if lab.audited else "evaluate")
    if lab.audited:
        assert VARS["audited"][name]["shared"] in lab.shared
    assert all((PROJECT / "components" / folder).is_dir() for folder in (line["shared"], line["also"]))


@pytest.mark.parametrize("name", LABS)
def test_dvc_shows_the_metrics_and_a_plot_of_every_lab(name: str) -> None:
    lab = find(name)
    for step in ("evaluate", "audit") if lab.audited else ("evaluate",):
        assert f"build/{name}/{step}/metrics.json" in DVC["metrics"]
    assert [plot for plot in PLOTS.values() if any(file.startswith(f"build/{name}/") for file in plot["y"])]
