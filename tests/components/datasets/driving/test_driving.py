"""CarRacing as a dataset: its reference episodes are played again frame for frame, and a changed one is seen."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from components.datasets.driving import DATASET, EXPERT
from components.datasets.driving.params import DrivingParams
from components.datasets.environments.prepare import EPISODES
from components.datasets.validation import read_suite, run_suite
from components.files import read_json, write_json
from components.labs.driving.params import Train
from tests.face_data import section


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder, short = tmp_path_factory.mktemp("driving"), {"max_episode_steps": 30}
    DATASET.prepare(folder, folder, section(DrivingParams, "datasets", "driving", options=short))
    return folder


@pytest.fixture
def prepared(recorded: Path, tmp_path: Path) -> Path:
    shutil.copytree(recorded, tmp_path, dirs_exist_ok=True)
    return tmp_path


def test_its_episodes_pass_and_one_that_was_another_does_not(prepared: Path) -> None:
    suite = read_suite(DATASET.expectations, "episodes")
    assert run_suite(suite, DATASET.tables(prepared, prepared)["episodes"]).success
    episodes = read_json(prepared / EPISODES)
    episodes[0]["digest"] = "0" * 64
    write_json(prepared / EPISODES, episodes)
    assert not run_suite(suite, DATASET.tables(prepared, prepared)["episodes"]).success


def test_a_random_policy_and_the_teacher_play_in_every_split(prepared: Path) -> None:
    episodes = read_json(prepared / EPISODES)
    assert sorted({(episode["policy"], episode["split"]) for episode in episodes}) == [
        (policy, split) for policy in ("expert", "random") for split in ("test", "train", "validation")
    ]
    assert all(len(episode["digest"]) == 64 for episode in episodes)


def test_a_teacher_with_other_numbers_plays_other_episodes(prepared: Path) -> None:
    played = read_json(prepared / EXPERT)
    played["expert"]["gas"] /= 2
    write_json(prepared / EXPERT, played)
    write_json(prepared / EPISODES, [each for each in read_json(prepared / EPISODES) if each["split"] == "test"])
    table = DATASET.tables(prepared, prepared)["episodes"].set_index("policy")
    assert table["changed"].to_dict() == {"random": 0, "expert": 1}


def test_the_lab_imitates_the_teacher_whose_episodes_are_recorded() -> None:
    dataset, lab = section(DrivingParams, "datasets", "driving"), section(Train, "driving", "train")
    assert (lab.expert, lab.hold) == (dataset.expert, dataset.hold)
