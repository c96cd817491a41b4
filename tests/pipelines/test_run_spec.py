"""What is asked for is checked as the steps check it, before anything runs or is sent."""

from __future__ import annotations

from pathlib import Path

import pytest

from components.errors import UserError
from pipelines.run_spec import request

PROJECT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("assignment", "said"),
    [
        ("scratch.hiden_sizes=[1]", "unknown parameter scratch.hiden_sizes; did you mean 'hidden_sizes'?"),
        ("scratch.seed=x", "params.yaml: scratch.seed is 'x': input should be a valid integer"),
        ("gate.scratch.metrics.accuracy.min=high", "gate.scratch.metrics.accuracy.min is 'high'"),
        ("music.seed=2", "unknown parameter music"),
        ("gate.music.profile=null", "unknown parameter gate.music; did you mean 'scratch'?"),
        ("seed", "'seed' sets nothing: write scratch.seed=2"),
        ("seed=2", "'seed=2' sets nothing"),
        ("scratch.seed.deep=2", "scratch.seed is 1 and has no deep"),
        ("scratch.seed=[", "scratch.seed: '[' is not YAML"),
        ("pipelines.default.memory=lots", "pipelines.default.memory is 'lots'"),
        ("pipelines.tasks={trian: {memory: 1Gi, minutes: 1, retries: 0}}", "there is no task 'trian'"),
        ("pipelines.backoff.longest=1", "longest must be at least first"),
    ],
)
def test_a_wrong_number_is_one_line_that_names_it(assignment: str, said: str) -> None:
    with pytest.raises(UserError) as refused:
        request("scratch", [assignment], root=PROJECT)
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("choice", "said"),
    [
        ("learning_rate=0.1", "'learning_rate=0.1' is no list to sweep over"),
        ("learning_rate=[]", "is no list"),
        ("learning_rate=[0.1, -1]", "scratch.learning_rate is -1: input should be greater than 0"),
        ("leaning_rate=[0.1]", "unknown parameter scratch.leaning_rate; did you mean 'learning_rate'?"),
    ],
)
def test_every_point_of_a_sweep_is_checked(choice: str, said: str) -> None:
    with pytest.raises(UserError) as refused:
        request("scratch", sweep=[choice], root=PROJECT)
    assert said in str(refused.value)


def test_what_is_set_reaches_every_parameter_and_leaves_the_file_alone() -> None:
    before = (PROJECT / "params.yaml").read_text()
    set_ = ["scratch.augmentation.shift=1.5", "evaluate.scratch.bins=10", "data.folder=data"]
    asked = request("scratch", set_, ["seed=[1, 2]", "activation=[relu, sigmoid]"], PROJECT)
    sent = asked.arguments()
    assert sent["train"]["augmentation"]["shift"] == 1.5
    assert sent["evaluate"]["bins"] == 10
    assert [(some["seed"], some["activation"], some["augmentation"]["shift"]) for some in sent["candidates"]] == [
        (1, "relu", 1.5),
        (1, "sigmoid", 1.5),
        (2, "relu", 1.5),
        (2, "sigmoid", 1.5),
    ]
    assert (PROJECT / "params.yaml").read_text() == before


def test_nulls_and_dates_can_be_sent() -> None:
    """A gate without a profile, and a waiver until a day, as YAML reads them."""
    waiver = "gate.scratch.waivers=[{metric: accuracy, reason: a trial, by: me, until: 2030-01-01}]"
    sent = request("scratch", ["gate.scratch.profile=null", waiver], root=PROJECT).arguments()["gate"]
    assert "profile" not in sent
    assert sent["waivers"][0]["until"] == "2030-01-01"
