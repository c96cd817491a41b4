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
        ("mlp.train.hiden_sizes=[1]", "unknown parameter mlp.train.hiden_sizes; did you mean 'hidden_sizes'?"),
        ("mlp.train.seed=x", "params.yaml: mlp.train.seed is 'x': input should be a valid integer"),
        ("mlp.gate.metrics.accuracy.min=high", "mlp.gate.metrics.accuracy.min is 'high'"),
        ("music.train.seed=2", "unknown parameter music"),
        ("mlp.gaet.profile=null", "unknown parameter mlp.gaet; did you mean 'gate'?"),
        ("datasets.digits.limt=3", "unknown parameter datasets.digits.limt; did you mean 'limit'?"),
        ("datasets.music.limit=3", "unknown parameter datasets.music; did you mean 'digits'?"),
        ("seed", "'seed' sets nothing: write mlp.train.seed=2"),
        ("seed=2", "'seed=2' sets nothing"),
        ("mlp.train.seed.deep=2", "mlp.train.seed is 1 and has no deep"),
        ("mlp.train.seed=[", "mlp.train.seed: '[' is not YAML"),
        ("pipelines.default.memory=lots", "pipelines.default.memory is 'lots'"),
        ("pipelines.tasks={trian: {memory: 1Gi, minutes: 1, retries: 0}}", "there is no task 'trian'"),
        ("pipelines.backoff.factor=1.5", "a valid integer"),
    ],
)
def test_a_wrong_number_is_one_line_that_names_it(assignment: str, said: str) -> None:
    with pytest.raises(UserError) as refused:
        request("mlp", [assignment], root=PROJECT)
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("choice", "said"),
    [
        ("learning_rate=0.1", "'learning_rate=0.1' is no list to sweep over"),
        ("learning_rate=[]", "is no list"),
        ("learning_rate=[0.1, -1]", "mlp.train.learning_rate is -1: input should be greater than 0"),
        ("seed=[1, 2, 1]", "two candidates of this sweep are equal, with mlp.train.seed=1: give each value once"),
        ("leaning_rate=[0.1]", "unknown parameter mlp.train.leaning_rate; did you mean 'learning_rate'?"),
    ],
)
def test_every_point_of_a_sweep_is_checked(choice: str, said: str) -> None:
    with pytest.raises(UserError) as refused:
        request("mlp", sweep=[choice], root=PROJECT)
    assert said in str(refused.value)


def test_what_is_set_reaches_every_parameter_and_leaves_the_file_alone() -> None:
    before = (PROJECT / "params.yaml").read_text()
    set_ = ["mlp.train.augmentation.shift=1.5", "mlp.evaluate.bins=10", "datasets.digits.limit=77"]
    asked = request("mlp", set_, ["seed=[1, 2]", "activation=[relu, sigmoid]"], PROJECT)
    sent = asked.arguments()
    assert sent["train"]["augmentation"]["shift"] == 1.5
    assert sent["evaluate"]["bins"] == 10
    assert sent["prepare"]["limit"] == 77
    assert [(some["seed"], some["activation"], some["augmentation"]["shift"]) for some in sent["candidates"]] == [
        (1, "relu", 1.5),
        (1, "sigmoid", 1.5),
        (2, "relu", 1.5),
        (2, "sigmoid", 1.5),
    ]
    assert (PROJECT / "params.yaml").read_text() == before


def test_nulls_and_dates_can_be_sent() -> None:
    """A gate without a profile, and a waiver until a day, as YAML reads them."""
    waiver = "mlp.gate.waivers=[{metric: accuracy, reason: a trial, by: me, until: 2030-01-01}]"
    sent = request("mlp", ["mlp.gate.profile=null", waiver], root=PROJECT).arguments()["gate"]
    assert "profile" not in sent
    assert sent["waivers"][0]["until"] == "2030-01-01"
