"""The settings for a GPU are ones that the labs take, whether DVC or Kubeflow lays them over params.yaml."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from dvc.utils.hydra import apply_overrides

from components.config import read
from components.labs import find
from components.params import checked, load, with_assignments
from components.settings import project_root

SETTINGS = sorted((project_root() / "infra" / "gpu").glob("*.txt"))


@pytest.mark.parametrize("file", SETTINGS, ids=lambda file: file.stem)
def test_a_setting_fits_its_lab_and_names_only_what_is_there(file: Path, tmp_path: Path) -> None:
    lab, options = find(file.stem), file.read_text().split()  # as the shell splits it
    assert set(options[::2]) == {"-S"}
    assignments = options[1::2]
    params = tmp_path / "params.yaml"
    shutil.copy(project_root() / "params.yaml", params)
    by_kubeflow = checked(lab, with_assignments(read(params), lab, assignments, params), params)
    apply_overrides(params, list(assignments))  # as `dvc exp run -S` does: it refuses a key that is not there
    assert load(lab, params) == by_kubeflow
    assert by_kubeflow.train != load(lab, project_root() / "params.yaml").train


def test_there_is_one_for_every_lab_that_makes_pictures_and_for_the_one_that_drives() -> None:
    assert [file.stem for file in SETTINGS] == ["digit_generation", "driving", "face_generation"]
