"""A search's ranges are checked before anything trains, and its result is written into params.yaml and nothing else."""

from __future__ import annotations

import difflib
import re
import shutil
from pathlib import Path
from typing import Any

import optuna
import pytest

from components.config import overridden, read
from components.errors import UserError
from components.labs import LABS, find
from components.search.apply import apply
from components.search.ranges import Search, as_it_is, draw, search_of
from components.settings import project_root

PARAMS = project_root() / "params.yaml"
MLP = find("mlp")
SEARCHED = tuple(name for name in LABS if "search" in read(PARAMS)[name])


def searched(*sets: str) -> Search:
    return search_of(MLP, overridden(read(PARAMS), sets, ("mlp",), PARAMS), PARAMS)


@pytest.mark.parametrize("lab", SEARCHED)
def test_the_search_of_every_lab_begins_with_the_values_of_params_yaml(lab: str) -> None:
    raw = read(PARAMS)
    assert as_it_is(find(lab), raw, search_of(find(lab), raw, PARAMS)) is not None


@pytest.mark.parametrize(
    ("sets", "said"),
    [
        ("ranges.learnin_rate={low: 1, high: 2}", "unknown parameter mlp.train.learnin_rate; did you mean 'learning_r"),
        ("ranges.momentum={low: 0.9, high: 0.8}", "low (0.9) must be below high (0.8)"),
        ("ranges.momentum={low: 0.0, high: 0.8, log: true}", "low (0) must be above 0 where log is true"),
        ("ranges.momentum={low: 0.0, high: 1.5}", "mlp.train.momentum is 1.5: input should be less than 1"),
        ("ranges.momentum={low: 0.0, hihg: 0.8}", "unknown parameter mlp.search.ranges.momentum.hihg; did you mean"),
        ("ranges.momentum={low: 0.1, high: 0.8, choices: [0.1, 0.2]}", "give either choices, or low and high"),
        ("ranges.momentum={choices: [0.1, 0.1]}", "a choice stands there twice"),
        ("ranges.momentum={}", "give low and high, or choices"),
        ("ranges.batch_size={low: 1.5, high: 20}", "mlp.train.batch_size is 1.5: input should be a valid integer"),
        ("ranges.activation={choices: [relu, tanh]}", "mlp.train.activation is 'tanh'"),
        ("ranges.seed={low: 1, high: 9}", "the seed is no parameter to choose by"),
        ("ranges={}", "mlp.search.ranges is {}"),
        ("trails=3", "unknown parameter mlp.search.trails; did you mean 'trials'?"),
    ],
)
def test_a_wrong_range_is_one_line_that_names_it(sets: str, said: str) -> None:
    with pytest.raises(UserError) as found:
        searched(f"mlp.search.{sets}")
    assert said in str(found.value)
    assert str(found.value).startswith(f"{PARAMS}: ")
    assert "\n" not in str(found.value)


def test_a_lab_without_a_search_says_what_it_lacks() -> None:
    with pytest.raises(UserError, match="mlp has no section search"):
        searched("mlp.search=null")


def test_what_is_drawn_fits_its_parameter_and_has_few_figures() -> None:
    numbers = "batch_size: {low: 8, high: 512, log: true}, momentum: {low: 0.5, high: 0.99}"
    ranges = f"{{{numbers}, hidden_sizes: {{choices: [[8], [9]]}}}}"
    raw, search = read(PARAMS), searched(f"mlp.search.ranges={ranges}")
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1))
    drawn = [draw(study.ask(), MLP, raw, search) for _ in range(40)]
    assert {type(values["batch_size"]) for values in drawn} == {int}
    assert all(float(f"{values['momentum']:.3g}") == values["momentum"] for values in drawn)
    assert {tuple(values["hidden_sizes"]) for values in drawn} == {(8,), (9,)}


def test_the_value_of_params_yaml_is_tried_with_all_its_figures() -> None:
    sets = ("mlp.train.momentum=0.912345", "mlp.search.ranges={momentum: {low: 0.1, high: 0.95}}")
    raw = overridden(read(PARAMS), sets, ("mlp",), PARAMS)
    search = search_of(MLP, raw, PARAMS)
    study = optuna.create_study()
    study.enqueue_trial(as_it_is(MLP, raw, search) or {})
    assert draw(study.ask(), MLP, raw, search) == {"momentum": 0.912345}


def test_values_are_written_in_their_places_and_nothing_else_changes(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    shutil.copy(PARAMS, path)
    values: dict[str, Any] = {"learning_rate": 1e-05, "hidden_sizes": [512, 256], "activation": "sigmoid"}
    apply(MLP, values, path)
    apply(find("cartpole"), {"ppo.steps": 100}, path)
    before, after = read(PARAMS), read(path)
    before["mlp"]["train"] |= values
    before["cartpole"]["train"]["ppo"]["steps"] = 100
    assert after == before
    changed = list(difflib.ndiff(PARAMS.read_text().split("\n"), path.read_text().split("\n")))
    removed, added = ([line for line in changed if line.startswith(sign)] for sign in "-+")
    assert len(removed) == len(added) == 4
    assert [line.partition("#")[2] for line in added] == [line.partition("#")[2] for line in removed]


@pytest.mark.parametrize("indent", ["    ", "      "])
def test_a_list_in_lines_of_its_own_is_replaced_too(indent: str, tmp_path: Path) -> None:
    """As `dvc exp run -S` leaves one."""
    path = tmp_path / "params.yaml"
    block = f"hidden_sizes:           # sizes\n{indent}- 512\n{indent}- 256 # the last\n    # of the layers\n"
    path.write_text(re.sub("hidden_sizes: .256.     # sizes.*\n", block, PARAMS.read_text(), count=1))
    before = read(path)
    assert before["mlp"]["train"]["hidden_sizes"] == [512, 256]
    apply(MLP, {"hidden_sizes": [32, 16, 8], "activation": "sigmoid"}, path)
    before["mlp"]["train"] |= {"hidden_sizes": [32, 16, 8], "activation": "sigmoid"}
    assert read(path) == before
    assert "# of the layers\n" in path.read_text()


def test_a_value_that_is_not_written_out_is_not_guessed(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    shutil.copy(PARAMS, path)
    with pytest.raises(UserError, match=r"mlp\.train\.gradient_clip is not written out there: set it to 2\.0 by hand"):
        apply(MLP, {"gradient_clip": 2.0}, path)
    assert path.read_bytes() == PARAMS.read_bytes()
