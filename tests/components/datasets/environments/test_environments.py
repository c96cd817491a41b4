"""An environment is a dataset: pinned packages, seeds that never overlap, episodes that can be played again."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from components.config import checked_section
from components.datasets import DATASETS, find_dataset
from components.datasets.environments.params import EnvironmentParams
from components.datasets.environments.prepare import EPISODES
from components.datasets.environments.reader import FILE, Environment
from components.datasets.environments.vector_reader import vector
from components.datasets.validation import read_suite, run_suite
from components.errors import UserError
from components.files import read_json, write_json
from components.settings import project_root
from components.sources import catalogue, pin
from components.sources.installed import check_installed, packages_version
from components.sources.version import PACKAGES, bring_version
from components.steps.fetch import fetch
from components.steps.validate import validate

PARAMS = project_root() / "params.yaml"
BLOCK: dict[str, Any] = yaml.safe_load(PARAMS.read_text())["datasets"]["cartpole"]
CARTPOLE = find_dataset("cartpole")


def params(**changed: Any) -> EnvironmentParams:
    return checked_section(EnvironmentParams, {**BLOCK, "limit": 2, **changed}, PARAMS, "datasets.cartpole")


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cartpole")
    CARTPOLE.prepare(folder, folder, params())
    return folder


# --- versions


def test_another_version_of_a_package_is_another_version_of_the_dataset() -> None:
    assert packages_version({"a": "1.0"}) != packages_version({"a": "1.1"})
    assert packages_version({"a": "1", "b": "2"}) == packages_version({"b": "2", "a": "1"})
    assert pin.dataset_version(project_root(), "cartpole", "course").endswith(".pkg")


def test_every_environments_packages_are_those_of_the_lock() -> None:
    lines = (project_root() / "requirements.lock").read_text().lower().splitlines()
    lock = {line.removesuffix(" \\") for line in lines}
    extras = tomllib.loads((project_root() / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    for packages in catalogue.declared_packages().values():
        for name, version in packages.items():
            assert f"{name}=={version}".lower() in lock
            assert [line for line in extras["games"] if line.lower() == f"{name}=={version}".lower()]


@pytest.mark.parametrize(
    ("packages", "said"), [({"no-such-game": "1.0"}, "is not installed"), ({"numpy": "0.1"}, "0.1")]
)
def test_a_package_that_is_missing_or_differs_is_one_line_with_the_command(packages: dict[str, str], said: str) -> None:
    with pytest.raises(UserError, match=said) as refused:
        check_installed("cartpole", packages)
    assert "pip install" in str(refused.value)
    assert "\n" not in str(refused.value)


def test_fetching_an_environment_brings_nothing_and_says_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_bytes(PARAMS.read_bytes())
    (found,) = fetch(["cartpole"], (), None, tmp_path)
    assert found.files == {"gymnasium 1.4.0": "installed"}
    assert not found.folder.exists()
    pin.check_pin(tmp_path, "cartpole", "course")
    with pytest.raises(UserError, match="has no files: it is gymnasium"):
        pin.accept_data(tmp_path, "cartpole", "course")
    with pytest.raises(UserError, match="no starter data"):
        fetch(["cartpole"], (), "starter", tmp_path)


def test_a_pipelines_first_task_records_the_versions_and_refuses_others(tmp_path: Path) -> None:
    version = pin.dataset_version(tmp_path, "cartpole", "course")
    folder = bring_version(tmp_path, "cartpole", "course", version)
    assert read_json(folder / PACKAGES) == catalogue.packages_of("cartpole")
    with pytest.raises(UserError, match=r"in this code's sources\.toml, not 0"):
        bring_version(tmp_path, "cartpole", "course", "0" * 32 + ".pkg")


# --- parameters


@given(st.lists(st.integers(0, 100), min_size=6, max_size=6))
def test_ranges_of_seeds_are_taken_exactly_where_none_overlaps(ends: list[int]) -> None:
    pairs = zip(("train", "validation", "test"), ends[::2], ends[1::2], strict=True)
    ranges = {name: {"first": first, "last": last} for name, first, last in pairs}
    members = [set(range(each["first"], each["last"] + 1)) for each in ranges.values()]
    apart = all(members) and len(set.union(*members)) == sum(map(len, members))
    if apart:
        assert params(seeds=ranges).seeds["train"].first == ends[0]
    else:
        with pytest.raises(UserError, match=r"datasets\.cartpole\.seeds|overlap") as refused:
            params(seeds=ranges)
        assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "changed",
    [
        {"environment": "CartPole-v99"},
        {"environment": "nonsense"},
        {"options": {"no_such_option": 1}},
        {"wrappers": [{"name": "NoSuchWrapper"}]},
        {"wrappers": [{"name": "FrameStackObservation", "options": {"stack_size": 0}}]},
    ],
)
def test_a_game_that_cannot_be_made_is_one_line(changed: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"datasets\.cartpole: gymnasium cannot make") as refused:
        CARTPOLE.prepare(tmp_path, tmp_path, params(**changed))
    assert "\n" not in str(refused.value)


def test_a_split_without_so_many_seeds_is_one_line(prepared: Path) -> None:
    environment = Environment.read(prepared).model_copy(update={"seeds": {"test": (5, 6)}})
    assert [environment.seed("test", index) for index in (0, 1)] == [5, 6]
    with pytest.raises(UserError, match="2 seeds for test, and episode 2 needs one more"):
        environment.seed("test", 2)


def test_a_damaged_description_is_one_line(tmp_path: Path, prepared: Path) -> None:
    write_json(tmp_path / FILE, {**read_json(prepared / FILE), "id": 3})
    with pytest.raises(UserError, match=r"environment\.json: id: .*run the step prepare again"):
        Environment.read(tmp_path)


# --- games


def test_actions_and_wrappers_are_those_of_the_parameters(tmp_path: Path) -> None:
    wrapped = params(actions=[1], wrappers=[{"name": "FrameStackObservation", "options": {"stack_size": 3}}])
    CARTPOLE.prepare(tmp_path, tmp_path, wrapped)
    environment = Environment.read(tmp_path)
    assert (environment.observation_shape, environment.action_count) == ((3, 4), 1)
    game, plain = environment.make(), environment.model_copy(update={"wrappers": (), "actions": ()}).make()
    for each in (game, plain):
        each.reset(seed=3)
    assert np.array_equal(game.step(0)[0][-1], plain.step(1)[0]), "its only action is the environment's second"


def test_games_side_by_side_begin_alike_for_a_seed(prepared: Path) -> None:
    environment = Environment.read(prepared)
    first, again, other = (vector(environment, 3).reset(seed=seed)[0] for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


# --- expectations


def changed(column: str, value: Any) -> Callable[[pd.DataFrame], None]:
    def change(table: pd.DataFrame) -> None:
        table.loc[table.index[0], column] = value

    return change


def test_reference_episodes_meet_their_expectations(prepared: Path, tmp_path: Path) -> None:
    validate(CARTPOLE, params(), prepared, prepared, tmp_path / "out")
    assert read_json(tmp_path / "out" / "validation.json")["resets"]["rows"] >= 4


@pytest.mark.parametrize(
    ("table", "column", "value"),
    [
        *(("episodes", fault, 1) for fault in ("changed", "endless", "not_numbers", "foreign_seed")),
        ("episodes", "steps", 501),
        ("episodes", "total", 0.0),
        ("episodes", "lowest", -100.0),
        ("episodes", "highest", 100.0),
        ("episodes", "split", "training"),
        ("resets", "reward_after", 1.0),
        ("resets", "ended_again", 1),
        ("resets", "not_reset", 1),
        ("resets", "steps", 5000),
    ],
)
def test_what_an_expectation_guards_against_fails_it(
    tables: dict[str, pd.DataFrame], table: str, column: str, value: Any
) -> None:
    broken = tables[table].copy()
    changed(column, value)(broken)
    suite = read_suite(CARTPOLE.expectations, table)
    assert run_suite(suite, tables[table]).success
    failed = [item for item in run_suite(suite, broken).results if not item.success]
    assert {item.expectation_config.kwargs.get("column") for item in failed} & {column, "split", None}


@pytest.fixture(scope="module")
def tables(prepared: Path) -> dict[str, pd.DataFrame]:
    return CARTPOLE.tables(prepared, prepared)


def test_an_episode_that_goes_otherwise_now_is_named(prepared: Path, tmp_path: Path) -> None:
    for path in prepared.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    episodes = read_json(prepared / EPISODES)
    episodes[0]["digest"] = "0" * 64
    write_json(tmp_path / EPISODES, episodes)
    with pytest.raises(UserError, match=r"cartpole episodes: .*column 'changed'.*rows random-0"):
        validate(CARTPOLE, params(), tmp_path, tmp_path, tmp_path / "out")


def test_every_environment_is_found_by_its_folder_and_what_they_share_is_none() -> None:
    assert "cartpole" in DATASETS
    assert "environments" not in DATASETS
