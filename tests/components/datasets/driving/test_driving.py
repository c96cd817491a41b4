"""CarRacing as a dataset: its reference episodes are played again frame for frame, and a changed one is seen."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from components.datasets.driving import DATASET
from components.datasets.environments.params import EnvironmentParams
from components.datasets.environments.prepare import EPISODES
from components.datasets.validation import read_suite, run_suite
from components.files import read_json, write_json
from tests.face_data import section


@pytest.fixture
def prepared(tmp_path: Path) -> Path:
    short: Any = {"max_episode_steps": 40}
    DATASET.prepare(tmp_path, tmp_path, section(EnvironmentParams, "datasets", "driving", options=short))
    return tmp_path


def test_its_episodes_pass_and_one_that_was_another_does_not(prepared: Path) -> None:
    suite = read_suite(DATASET.expectations, "episodes")
    assert run_suite(suite, DATASET.tables(prepared, prepared)["episodes"]).success
    episodes = read_json(prepared / EPISODES)
    episodes[0]["digest"] = "0" * 64
    write_json(prepared / EPISODES, episodes)
    assert not run_suite(suite, DATASET.tables(prepared, prepared)["episodes"]).success
