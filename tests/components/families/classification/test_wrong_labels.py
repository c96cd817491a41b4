"""A model that really learned from digits of which one kind has wrong labels: the gate blocks it and says why."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from components.config import Bound, Gate
from components.labs import Inputs, find
from components.params import load
from components.records import Decision, Verdict
from components.settings import project_root
from components.steps.evaluate import evaluate
from components.steps.export import export
from components.steps.gate import gate
from components.steps.train import train
from tests.components.bundles import PROVENANCE
from tests.digits_data import prepared

pytestmark = pytest.mark.slow

MLP = find("mlp")
PARAMS = load(MLP, project_root() / "params.yaml")
BOUNDS = Gate(metrics={"accuracy": Bound(min=0.9), "worst_digit_accuracy": Bound(min=0.6)})
TAUGHT, TRUTH = 8, 3
"""What the labels of training and validation say of each three."""


def decided(inputs: Inputs) -> Decision:
    """What the gate says of a model that learned from these digits: every step as it is, with a small network."""
    small = {"hidden_sizes": (64,), "max_epochs": 6, "patience": 6, "batch_size": 32}
    params = PARAMS.model_copy(update={"train": PARAMS.train.model_copy(update=small), "gate": BOUNDS})
    train(MLP, params.train, inputs, Path("train"), Path("kept"))
    export(MLP, params, PROVENANCE, inputs, Path("train"), Path("export"))
    evaluate(MLP, params, inputs, Path("export"), Path("evaluate"))
    return gate(MLP, params, Path("evaluate"), Path("gate"))


def test_a_model_taught_that_threes_are_eights_is_blocked(workplace: Path) -> None:
    digits = prepared(Path("digits"), 0)
    for split in ("train", "validation"):
        path = digits / f"{split}_labels.npy"
        labels = np.load(path)
        labels[labels == TRUTH] = TAUGHT
        np.save(path, labels)
    decision = decided(Inputs(digits))
    assert decision.verdict is Verdict.FAIL
    assert decision.metrics["worst_digit_accuracy"] < 0.1
    assert any("worst_digit_accuracy" in reason and "below its bound" in reason for reason in decision.reasons)


def test_the_same_model_taught_the_truth_passes(workplace: Path) -> None:
    """So the test above says something of the labels."""
    decision = decided(Inputs(prepared(Path("digits"), 0)))
    assert decision.verdict is Verdict.PASS, decision.reasons
