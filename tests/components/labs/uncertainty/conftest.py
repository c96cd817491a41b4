"""A small lab on scikit-learn's diabetes table: two networks a split, a few steps."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import sklearn.datasets

from components.bundle import Bundle, write_bundle
from components.datasets.uci.prepare import prepare
from components.datasets.uci.raw import STARTER
from components.labs.uncertainty import LAB
from components.labs.uncertainty.export.bundle import export
from components.labs.uncertainty.params import Params, Train
from components.labs.uncertainty.training.batches import UncertaintyData
from components.labs.uncertainty.training.model import UncertaintyModel
from components.labs.uncertainty.training.problems import read_problems
from components.records import Provenance

RECIPE = {
    "hidden_sizes": [8],
    "steps": 60,
    "batch_size": 16,
    "learning_rate": 0.02,
    "repeats": 1,
    "weight_decay": 0.0,
}
MADE_HERE = Provenance(
    git_commit="0" * 40,
    git_dirty=False,
    data_version="0" * 32,
    data_profile="starter",
    params_hash="0" * 64,
    code_hash="0" * 64,
)


def small_params(**train: Any) -> Params:
    """Parameters of a lab that trains in seconds; keywords change `train`."""
    block = {
        "train": {
            "seed": 1,
            "max_epochs": 2,
            "patience": 2,
            "precision": "32-true",
            "log_every_n_steps": 50,
            "method": "evidential",
            "folds": 2,
            "penalty": 0.01,
            "min_alpha": 1.5,
            "scale_weight": 0.5,
            "dropout_rate": 0.1,
            "dropout_masks": 3,
            "warmup": 0.1,
            "clip": 5.0,
            "validation_rows": 50,
            "sets": {"diabetes": RECIPE},
            "toy": {
                "recipe": {**RECIPE, "steps": 200, "hidden_sizes": [16]},
                "noise": 3.0,
                "inside": 4.0,
                "rows": [50, 200],
                "penalties": [0.0, 0.1],
                "standard_rows": 200,
                "standard_penalty": 0.01,
                "seeds": 2,
            },
            **train,
        },
        "export": {
            "parity_tolerance": 1e-3,
            "intervals": [0.5, 0.9, 0.95],
            "served_split": 0,
            "abstain_percentile": 99.0,
        },
        "evaluate": {
            "batch": 30,
            "level_step": 0.1,
            "confidence": 0.95,
            "toy_range": 6.0,
            "toy_points": 25,
        },
        "gate": {"metrics": {"coverage_90": {"min": 0.87}}},
        "serve": {
            "request_seconds": 5.0,
            "body_bytes": 65536,
            "body_seconds": 5.0,
            "held_bytes": 1048576,
            "retry_after_seconds": 1,
            "drain_seconds": 5.0,
            "client_rate": 10.0,
            "client_burst": 10,
            "waiting": 4,
            "max_rows": 10,
        },
    }
    return Params.model_validate_json(json.dumps(block))


def fitted(prepared: Path, params: Train, **trainer: Any) -> UncertaintyModel:
    """A model after `max_epochs`, as the step train trains it, without checkpoints."""
    problems = read_problems(prepared, params)
    pl.seed_everything(params.seed, verbose=False)
    model = UncertaintyModel(problems, params)
    pl.Trainer(
        accelerator="cpu",
        max_epochs=params.max_epochs,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        reload_dataloaders_every_n_epochs=1,
        **trainer,
    ).fit(model, UncertaintyData(problems, params))
    return model.eval()


def exported(prepared: Path, folder: Path, **train: Any) -> Bundle:
    """The bundle of a small model."""
    params = small_params(**train)
    folder.mkdir(parents=True)
    spec = export(fitted(prepared, params.train), prepared, folder, params.export)
    write_bundle(folder, LAB.name, spec, MADE_HERE)
    return Bundle.open(folder, LAB.name)


@pytest.fixture(scope="session")
def prepared_tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """scikit-learn's diabetes table, as the step prepare leaves it: a fifth of its rows."""
    raw, out = tmp_path_factory.mktemp("raw"), tmp_path_factory.mktemp("prepared")
    source = Path(sklearn.datasets.__file__).parent / "data"
    for name in STARTER:
        (raw / name).write_bytes((source / name).read_bytes())
    prepare(raw, out, limit=90)
    return out


@pytest.fixture(scope="session")
def evidential_model(prepared_tables: Path) -> UncertaintyModel:
    return fitted(prepared_tables, small_params().train)


@pytest.fixture(scope="session")
def uncertainty_bundle(prepared_tables: Path, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """Outputs of evidential networks."""
    return exported(prepared_tables, tmp_path_factory.mktemp("bundle") / "uncertainty")
