"""Does debiasing work? A sweep over training sets, models and seeds: `python -m benchmarks.debiasing`.

`debiasing.yaml` says what is swept. Each cell (a training set, an arm, a seed) is trained by the step train's own code
and judged on the audit split, at thresholds that held-out negatives give; its result is one JSON file. A second run
does only what is missing. The report (`debiasing_report`) is written from those files, also while cells are missing.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import logging
import multiprocessing
import re
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import yaml
from pydantic import Field, ValidationError

from benchmarks.debiasing_report import write_report
from components.config import Section
from components.datasets.faces.reader import Split, read_split
from components.errors import UserError
from components.files import output_folder, read_json, sha256_file, write_json
from components.labs import Inputs
from components.labs.faces import LAB, FacesLab
from components.labs.faces.evaluation.evaluate import cells as cells_of
from components.labs.faces.evaluation.measures import rate_above, roc_auc, threshold_at
from components.labs.faces.params import Train
from components.params import load
from components.provenance import lab_code

ROOT = Path(__file__).resolve().parent.parent
FILES = ("train.csv", "train_images.npy", "validation.csv", "validation_images.npy", "audit.csv", "audit_images.npy")
BY_LABEL = "by label"
"""The arm of `EvenGroups`."""
BATCH = 512

log = logging.getLogger(__name__)


class Plan(Section):
    """A section of debiasing.yaml. sets, arms: names, and the parameters of training that each changes."""

    faces: int = Field(ge=0, description="training faces taken, evenly through the files; 0 takes all")
    negatives: int = Field(ge=0, description="training negatives taken, likewise, by whole photographs")
    watched: int = Field(ge=1, description="validation faces, and negatives, that training sees the loss of")
    seeds: tuple[int, ...] = Field(min_length=2)
    false_positive_rates: tuple[float, ...] = Field(
        min_length=1, description="on validation; the report's is the first"
    )
    training: dict[str, Any] = Field(description="parameters of training that differ from params.yaml, in all cells")
    sets: dict[str, dict[str, Any]] = Field(min_length=1)
    arms: dict[str, dict[str, Any]] = Field(min_length=2, description="the first is what the others are compared with")


class EvenGroups(FacesLab):
    """Not a way to debias but the most that resampling could do: it knows the labels, and draws all groups alike."""

    def data(self, inputs: Inputs, params: Train) -> Any:
        from components.labs.faces.training.batches import FaceData

        race = read_split(inputs.prepared, "train").race

        class Even(FaceData):
            def _weights(self, epoch: int) -> np.ndarray:
                _, group, sizes = np.unique(race[self.faces], return_inverse=True, return_counts=True)
                weights: np.ndarray = 1 / sizes[group] / len(sizes)
                return weights

        return Even(inputs.prepared, params)


class Cell(NamedTuple):
    set: str
    arm: str
    seed: int

    @property
    def file(self) -> str:
        return "_".join(re.sub(r"[^\w.]+", "-", str(part)).strip("-") for part in self) + ".json"


def cells(plan: Plan) -> Iterator[Cell]:
    """Seed by seed, so that an unfinished sweep has whole comparisons."""
    for seed in plan.seeds:
        for name in plan.sets:
            for arm in plan.arms:
                yield Cell(name, arm, seed)


def read_plan(path: Path, name: str) -> Plan:
    """Raises UserError for a missing file or section, and for a wrong key."""
    try:
        plans = yaml.safe_load(path.read_text(encoding="utf-8"))
        return Plan.model_validate_json(json.dumps(plans[name]))
    except FileNotFoundError:
        raise UserError(f"{path} is missing") from None
    except (KeyError, TypeError):
        raise UserError(f"{path} has no section {name!r}") from None
    except ValidationError as error:
        first = error.errors()[0]
        raise UserError(f"{path}: {name}.{'.'.join(map(str, first['loc']))}: {first['msg']}") from None


def params_of(cell: Cell, plan: Plan, base: Train) -> Train:
    """Raises UserError for a parameter that training does not have."""
    changes = plan.training | plan.sets[cell.set] | plan.arms[cell.arm] | {"seed": cell.seed}
    try:
        return Train.model_validate_json(json.dumps(base.model_dump(mode="json") | changes))
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        raise UserError(f"{cell.set}, {cell.arm}: {key}: {first['msg']}") from None


def divide(prepared: Path, plan: Plan, out: Path) -> None:
    """Writes `taken`, a prepared folder with fewer training and validation images, and `left`: all others of these.

    What is left has never been trained on, and no photograph is in both: it gives thresholds, and on it parameters
    may be chosen.
    """
    with output_folder(out) as folder:
        left: list[tuple[np.ndarray, list[str]]] = []
        (folder / "taken").mkdir()
        (folder / "left").mkdir()
        for split, sizes in (("train", (plan.faces, plan.negatives)), ("validation", (plan.watched, plan.watched))):
            images = np.load(prepared / f"{split}_images.npy", mmap_mode="r", allow_pickle=False)
            with (prepared / f"{split}.csv").open(encoding="utf-8") as lines:
                header, *rows = lines.readlines()
            taken = _taken(read_split(prepared, split), *sizes)  # type: ignore[arg-type]
            _write(
                folder / "taken",
                split,
                images[taken],
                header,
                [row for row, here in zip(rows, taken, strict=True) if here],
            )
            left.append((images[~taken], [row for row, here in zip(rows, taken, strict=True) if not here]))
        rest = [row for _, rows in left for row in rows]
        _write(folder / "left", "validation", np.concatenate([images for images, _ in left]), header, rest)


def _taken(split: Split, faces: int, negatives: int) -> np.ndarray:
    """(N,) bool: evenly through the files about so many of each, negatives by whole photographs."""
    taken = np.zeros(len(split), bool)
    rows = np.flatnonzero(split.is_face)
    taken[_evenly(rows, faces)] = True
    photographs = np.unique(split.photo[~split.is_face])
    crops = int((~split.is_face).sum()) / len(photographs)
    taken |= ~split.is_face & np.isin(split.photo, _evenly(photographs, round(negatives / crops)))
    return taken


def _write(folder: Path, split: str, images: np.ndarray, header: str, rows: list[str]) -> None:
    np.save(folder / f"{split}_images.npy", images)
    (folder / f"{split}.csv").write_text(header + "".join(rows), encoding="utf-8")


def _evenly(rows: np.ndarray, count: int) -> np.ndarray:
    return rows if not count or count >= len(rows) else rows[np.arange(count) * len(rows) // count]


def run_cell(
    cell: Cell, params: Train, divided: Path, prepared: Path, rates: tuple[float, ...], inputs: str, out: Path
) -> None:
    """Trains, measures both splits and writes the cell's file."""
    import torch

    from components.labs.faces.training.dbvae import DebiasingVae
    from components.labs.faces.training.model import FaceClassifier
    from components.steps.train import train

    started = time.monotonic()
    logging.getLogger("components.steps").setLevel(logging.WARNING)
    with tempfile.TemporaryDirectory(prefix="cell-") as scratch:
        lab = EvenGroups() if cell.arm == BY_LABEL else LAB
        train(lab, params, Inputs(divided / "taken"), Path(scratch, "train"), Path(scratch, "checkpoints"))
        model = DebiasingVae(params) if params.model == "dbvae" else FaceClassifier(params)
        model.load_state_dict(torch.load(Path(scratch, "train", "model.ckpt"), weights_only=True)["state_dict"])
        curve = read_json(Path(scratch, "train", "training.json"))
    splits = {"validation": read_split(divided / "left", "validation"), "audit": read_split(prepared, "audit")}
    logits = {name: _logits(model, split) for name, split in splits.items()}
    negatives = logits["validation"][~splits["validation"].is_face]
    thresholds = {f"{rate:g}": threshold_at(negatives, np.zeros(len(negatives), bool), rate) for rate in rates}
    thresholds["even odds"] = 0.0
    write_json(
        out,
        {
            "inputs": inputs,
            **cell._asdict(),
            "train": params.model_dump(mode="json"),
            "validation_loss": curve["metrics"].get("val_loss"),
            "seconds": round(time.monotonic() - started, 1),
            "favoured": _favoured(model, divided / "taken") if isinstance(model, DebiasingVae) else None,
            **{
                name: {
                    "roc_auc": roc_auc(logits[name], split.is_face),
                    "at": {point: counts(logits[name], split, threshold) for point, threshold in thresholds.items()},
                }
                for name, split in splits.items()
            },
        },
    )


def counts(logits: np.ndarray, split: Split, threshold: float) -> dict[str, Any]:
    """found, of: faces of each cell of perceived race and gender. false_positives: of the negatives."""
    groups = cells_of(split)
    return {
        "threshold": threshold,
        "found": {name: int((logits[rows] > threshold).sum()) for name, rows in groups.items()},
        "of": {name: len(rows) for name, rows in groups.items()},
        "false_positives": int((logits[~split.is_face] > threshold).sum()),
        "negatives": int((~split.is_face).sum()),
        "hard_false_positive_rate": rate_above(logits[split.is_hard], threshold) if split.is_hard.any() else None,
    }


def _logits(model: Any, split: Split) -> np.ndarray:
    import torch

    from components.labs.faces.training.augment import plain

    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = model.eval().to(device)
    with torch.inference_mode():
        parts = [
            model(plain(torch.from_numpy(split.images[first : first + BATCH]).to(device))).float().cpu().numpy()
            for first in range(0, len(split), BATCH)
        ]
    found: np.ndarray = np.concatenate(parts)
    return found


def _favoured(model: Any, prepared: Path) -> dict[str, Any]:
    """What resampling would do with the trained encoder, used or not: each group's share of draws over its share."""
    from components.labs.faces.training.batches import kept_faces
    from components.labs.faces.training.resampling import face_weights

    split = read_split(prepared, "train")
    faces = kept_faces(split, model.params)
    weights = face_weights(model, split.images, faces, model.params)
    race = split.race[faces]
    return {
        "times_as_often": {
            name: float(weights[race == name].sum() / (race == name).mean()) for name in np.unique(race)
        },
        "effective_faces": float(1 / (weights**2).sum()),
        "faces": len(faces),
    }


def inputs_of(params: Train, version: str, rates: tuple[float, ...]) -> str:
    """Names what a cell's result depends on."""
    parts = [params.model_dump_json(), version, json.dumps(rates), lab_code(LAB, "train")]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def _start_worker() -> None:
    import torch

    torch.set_num_threads(1)  # with more, sums come in another order, and a cell's result depends on the machine
    logging.basicConfig(level=logging.WARNING)


def sweep(plan: Plan, base: Train, prepared: Path, out: Path, workers: int, minutes: float) -> int:
    """Runs the cells that have no result yet, for at most so many minutes (0: no limit); returns how many are left."""
    divided, version = out / "divided", _version(prepared, plan)
    if not (out / "divided.json").exists() or read_json(out / "divided.json") != version:
        divide(prepared, plan, divided)
        write_json(out / "divided.json", version)
    rates, todo = plan.false_positive_rates, []
    for cell in cells(plan):
        train = params_of(cell, plan, base)
        inputs, file = inputs_of(train, version, rates), out / "cells" / cell.file
        if not file.exists() or read_json(file)["inputs"] != inputs:
            todo.append((cell, train, divided, prepared, rates, inputs, file))
    log.info("%d of %d cells are to do", len(todo), len(list(cells(plan))))
    if not todo:
        return 0
    started, done = time.monotonic(), 0
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, context, initializer=_start_worker) as pool:
        waiting, running = iter(todo), {}

        def submit() -> None:
            late = minutes and time.monotonic() - started > 60 * minutes
            work = None if late else next(waiting, None)
            if work:
                running[pool.submit(run_cell, *work)] = work[0]

        for _ in range(workers):
            submit()
        while running:
            future = next(as_completed(running))
            cell = running.pop(future)
            future.result()
            done += 1
            left = (time.monotonic() - started) / done * (len(todo) - done) / 60
            log.info("%d of %d: %s, %s, seed %d; about %.0f min left", done, len(todo), *cell, left)
            submit()
    return len(todo) - done


def _version(prepared: Path, plan: Plan) -> str:
    """Names the images that are taken and left. Raises UserError for a prepared folder that is not whole."""
    missing = [name for name in FILES if not (prepared / name).exists()]
    if missing:
        raise UserError(f"{prepared / missing[0]} is missing: run `python -m components prepare faces` first")
    parts = [sha256_file(prepared / name) for name in FILES] + [f"{plan.faces} {plan.negatives} {plan.watched}"]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--plan", default="small", help="a section of debiasing.yaml: small, or full for a GPU")
    parser.add_argument("--settings", type=Path, default=Path(__file__).with_suffix(".yaml"))
    parser.add_argument("--prepared", type=Path, default=ROOT / "build" / "faces" / "prepare")
    parser.add_argument("--out", type=Path, help="where the cells' files and the report go; build/debiasing/<plan>")
    parser.add_argument("--workers", type=int, default=1, help="cells trained at once, each a process of one thread")
    parser.add_argument("--minutes", type=float, default=0, help="start no cell after so long; the next run goes on")
    parser.add_argument("--report", type=Path, help="where the report goes instead")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    out = options.out or ROOT / "build" / "debiasing" / options.plan
    try:
        plan, base = read_plan(options.settings, options.plan), load(LAB, ROOT / "params.yaml").train
        assert isinstance(base, Train)
        left = sweep(plan, base, options.prepared, out, options.workers, options.minutes)
    except UserError as error:
        log.error("%s", error)
        return 2
    write_report(results_of(plan, out), options.plan, plan.false_positive_rates, options.report or out)
    log.info("wrote %s%s", options.report or out, f"; {left} cells are missing: run it again" if left else "")
    return 0


def results_of(plan: Plan, out: Path) -> list[dict[str, Any]]:
    """The plan's cells that have a result, in its order: sets, then arms, then seeds."""
    wanted = sorted(cells(plan), key=lambda cell: (list(plan.sets).index(cell.set), list(plan.arms).index(cell.arm)))
    files = [out / "cells" / cell.file for cell in wanted]
    return [read_json(file) for file in files if file.exists()]


if __name__ == "__main__":
    sys.exit(main())
