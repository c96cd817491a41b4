"""What each method's uncertainty is worth, alone and as an ensemble: `python -m benchmarks.uncertainty`.

Evidential networks, Gaussian networks and Gaussian networks under dropout train with the recipes of params.yaml on the
same rows of the same splits, and their exported graphs are measured on the same test rows. "Alone" is the first member
of each ensemble, calibrated by itself. Differences are paired over splits, with Nadeau and Bengio's variance.
Trains what `--sets` names: all sets take about half an hour of processor time a method.
"""

from __future__ import annotations

import argparse
import logging
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch

from benchmarks.generation import processor
from components.bundle import Bundle, write_bundle
from components.datasets import find_dataset
from components.datasets.uci.reader import Table, read_tables
from components.files import read_json, write_json
from components.labs.uncertainty import LAB
from components.labs.uncertainty.evaluation.measures import difference
from components.labs.uncertainty.evaluation.sets import SetFindings, measure_set
from components.labs.uncertainty.export.bundle import export
from components.labs.uncertainty.params import Params, Train
from components.labs.uncertainty.runtime.predictor import UncertaintyPredictor
from components.labs.uncertainty.training.batches import UncertaintyData
from components.labs.uncertainty.training.model import UncertaintyModel
from components.labs.uncertainty.training.problems import read_problems
from components.params import load, load_dataset
from components.provenance import provenance

ROOT = Path(__file__).resolve().parent.parent
METHODS = ("evidential", "gaussian", "dropout")
COMPARED = ("rmse", "nll", "crps", "calibration_error")

log = logging.getLogger(__name__)


def some_sets(prepared: Path, names: list[str], folder: Path) -> Path:
    """A copy of the prepared data with these sets only."""
    report = read_json(prepared / "report.json")
    write_json(folder / "report.json", {**report, "sets": {name: report["sets"][name] for name in names}})
    for path in prepared.glob("*.npy"):
        if path.name.rpartition("_")[0] in names:
            shutil.copyfile(path, folder / path.name)
    return folder


def by_method(train: Train, method: str) -> Train:
    """The recipes of params.yaml for another method. The cubic is not compared: it gets one step."""
    recipe = train.toy.recipe.model_copy(update={"steps": 1})
    return train.model_copy(update={"method": method, "toy": train.toy.model_copy(update={"recipe": recipe})})


def trained(prepared: Path, params: Params, out: Path) -> Bundle:
    """A bundle of networks that are trained with these parameters."""
    problems = read_problems(prepared, params.train)
    pl.seed_everything(params.train.seed, verbose=False)
    model = UncertaintyModel(problems, params.train)
    pl.Trainer(
        accelerator="cpu",
        max_epochs=params.train.max_epochs,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        limit_val_batches=0,
        reload_dataloaders_every_n_epochs=1,
    ).fit(model, UncertaintyData(problems, params.train))
    out.mkdir(parents=True)
    spec = export(model.eval(), prepared, out, params.export)
    made = provenance(LAB, params, load_dataset(find_dataset(LAB.dataset), ROOT / "params.yaml"), ROOT)
    write_bundle(out, LAB.name, spec, made)
    return Bundle.open(out, LAB.name)


def compared(found: dict[str, SetFindings], table: Table, confidence: float) -> dict[str, Any]:
    """Results on one set: each method's means, and what the others lose against the first, paired over splits."""
    share = float(table.test.sum() / (~table.test).sum())
    means = {
        method: {
            **{name: float(getattr(measured, name).mean()) for name in COMPARED},
            "alone_rmse": float(measured.single_rmse.mean()),
            "alone_nll": float(measured.single_nll.mean()),
        }
        for method, measured in found.items()
    }
    first, *others = found
    losses = {
        f"{other} - {first}": {
            name: difference(getattr(found[other], name), getattr(found[first], name), share, confidence)._asdict()
            for name in COMPARED
        }
        for other in others
    }
    return {"means": means, "differences": losses}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--prepared", type=Path, default=ROOT / "build" / "uci" / "prepare", help="of the step prepare")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "uncertainty.json")
    parser.add_argument("--sets", nargs="+", default=["concrete", "wine", "yacht"])
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
    torch.set_num_threads(1)
    params = load(LAB, ROOT / "params.yaml")
    assert isinstance(params, Params)
    found: dict[str, dict[str, SetFindings]] = {name: {} for name in options.sets}
    seconds: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as work:
        Path(work, "prepared").mkdir()
        prepared = some_sets(options.prepared, options.sets, Path(work, "prepared"))
        tables = read_tables(prepared)
        for method in options.methods:
            changed = params.model_copy(update={"train": by_method(params.train, method)})
            started = time.process_time()
            predictor = UncertaintyPredictor.load(trained(prepared, changed, Path(work, method)))
            seconds[method] = time.process_time() - started
            for name in options.sets:
                found[name][method] = measure_set(predictor, name, tables[name], params.evaluate)
                measured = found[name][method]
                log.info("%s, %s: RMSE %.4g, NLL %.4g", name, method, measured.rmse.mean(), measured.nll.mean())
    write_json(
        options.out,
        {
            "sets": {
                name: compared(of_set, tables[name], params.evaluate.confidence) for name, of_set in found.items()
            },
            "processor_seconds": seconds,
            "machine": {"processor": processor(), "torch": torch.__version__},
        },
    )
    log.info("wrote %s", options.out)


if __name__ == "__main__":
    main()
