"""What `make smoke` lays over params.yaml is meant for every lab, and fits it."""

from __future__ import annotations

from pathlib import Path

import pytest

from components.labs import LABS, find
from components.params import load
from tests.workspace import PROJECT, SMOKE, overlaid


@pytest.mark.parametrize("lab", LABS)
def test_every_lab_takes_its_small_numbers(lab: str, tmp_path: Path) -> None:
    overlaid(PROJECT / "params.yaml", SMOKE, tmp_path / "params.yaml")
    assert load(find(lab), tmp_path / "params.yaml") != load(find(lab), PROJECT / "params.yaml")
