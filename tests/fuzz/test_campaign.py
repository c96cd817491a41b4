"""A campaign that finds nothing would be worth nothing if it could find nothing: each fault is found, and kept."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fuzz import campaign
from tests.fuzz.campaign import run, worked
from tests.fuzz.faulty import FAULTS
from tests.fuzz.worker import TARGETS


def test_every_kind_of_fault_is_found_and_what_comes_after_is_still_tried(tmp_path: Path) -> None:
    found = run("faulty", tmp_path, seed=0, count=len(FAULTS), kept=tmp_path / "kept")
    assert found.outcomes == {"answered": 2, "refused": 1, "failed": 6}
    kept = [Path(fault.splitlines()[0]) for fault in found.faults]
    assert [path.read_text() for path in kept] == [*FAULTS[2:-1]]
    for fault, words in zip(
        found.faults, ("KeyError", "refused with 500", "several lines", "-11", "-27", "of memory"), strict=True
    ):
        assert words in fault
    (again,) = worked("faulty", tmp_path, str(kept[0]))
    assert again["outcome"] == "failed"
    assert "a defect" in again["fault"]


def test_an_input_that_waits_for_ever_is_a_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(campaign, "SILENT_SECONDS", 5)
    path = tmp_path / "input"
    path.write_text("waits")
    (found,) = worked("faulty", tmp_path, str(path))
    assert found["outcome"] == "failed"
    assert "ended with -9" in found["fault"]


def test_a_seed_makes_the_same_inputs_again_and_another_seed_others(tmp_path: Path) -> None:
    one, again = (TARGETS["midi"](tmp_path) for _ in range(2))
    made = [one.input(5, index) for index in range(20)]
    assert made == [again.input(5, index) for index in range(20)]
    assert len({*made}) > 15
    assert made != [one.input(6, index) for index in range(20)]


def test_a_target_that_cannot_make_its_inputs_ends_the_campaign(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="can't be used"):
        worked("bundles", tmp_path, "0", "0", "1")
