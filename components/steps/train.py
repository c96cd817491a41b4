"""Train a lab's model with Lightning, so that a killed run ends as if it had never been killed."""

from __future__ import annotations

import hashlib
import logging
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

from components.config import TrainParams
from components.errors import UserError
from components.files import output_folder, sha256_file, write_json
from components.labs import Inputs, Lab
from components.provenance import lab_code

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytorch_lightning.loggers import Logger

log = logging.getLogger(__name__)

KEPT_RUNS = 3
"""Checkpoint folders kept per lab: the last inputs can be gone back to without training again."""


def train(
    lab: Lab, params: TrainParams, inputs: Inputs, out: Path, checkpoints: Path, loggers: Sequence[Logger] = ()
) -> dict[str, float]:
    """Trains on the prepared data and writes `out`: model.ckpt (weights of the best epoch), curve.csv, training.json.

    Checkpoints are kept outside `out`, in a folder of `checkpoints` named by the hash of the inputs: the same call
    after a kill goes on from the last epoch boundary, and after the end returns at once. On a CPU the resumed run's
    weights equal the uninterrupted one's, because every step's randomness is a function of (seed, step).
    Under torchrun this is what the process of rank zero does; the others `follow`, and find the same `checkpoints`.
    Returns the best epoch's metrics. Raises UserError on a full disk, where the old output then stays, and where
    another process trains with the same inputs.
    """
    from components.training.checkpoints import read_checkpoint, write_checkpoint
    from components.training.trainer import finished_in, fit

    with output_folder(out) as temporary:
        folder = _folder(lab, params, inputs, checkpoints)
        with _alone(lab, folder):
            finished = finished_in(folder) or fit(lab, params, inputs, folder, loggers)
            best = read_checkpoint(folder / finished.best)
            if best is None:
                raise UserError(f"{folder / finished.best} is damaged or gone: remove {folder} and train again")
            write_checkpoint(temporary / "model.ckpt", {"state_dict": best["state_dict"]})
            shutil.copyfile(folder / "curve.csv", temporary / "curve.csv")
            write_json(temporary / "training.json", finished.model_dump())
    _forget_old_runs(checkpoints / lab.name)
    return finished.metrics


def follow(lab: Lab, params: TrainParams, inputs: Inputs, checkpoints: Path) -> None:
    """Trains up to the end with the process of rank zero, for the other processes that torchrun started."""
    from components.lightning import load_lightning

    folder = _folder(lab, params, inputs, checkpoints)
    load_lightning()
    from components.training.trainer import finished_in, fit

    if finished_in(folder) is None:
        fit(lab, params, inputs, folder)


def _folder(lab: Lab, params: TrainParams, inputs: Inputs, checkpoints: Path) -> Path:
    folder = checkpoints / lab.name / inputs_hash(lab, params, inputs)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@contextmanager
def _alone(lab: Lab, folder: Path) -> Iterator[None]:
    """One training of the same inputs at a time: two would write each other's checkpoints. Raises UserError."""
    try:
        with FileLock(folder / ".lock", timeout=0):
            yield
    except Timeout:
        raise UserError(
            f"another process trains {lab.name} with the same inputs, in {folder}: wait for it, or stop it"
        ) from None


def inputs_hash(lab: Lab, params: TrainParams, inputs: Inputs) -> str:
    """Names the checkpoint folder: data, parameters, code, library and hardware kind that decide the weights."""
    import torch

    from components.training.trainer import precision

    parts = []
    for folder in (inputs.prepared, *inputs.pretrained.values()):
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        parts += [f"{file.relative_to(folder)} {sha256_file(file)}" for file in files]
    parts += [params.model_dump_json(), lab_code(lab, "train"), torch.__version__]
    parts += [str(torch.cuda.is_available()), str(precision(params.precision))]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def _forget_old_runs(folder: Path) -> None:
    runs = sorted(folder.iterdir(), key=lambda run: run.stat().st_mtime, reverse=True)
    for run in runs[KEPT_RUNS:]:
        shutil.rmtree(run, ignore_errors=True)
