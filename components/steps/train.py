"""Train a lab's model with Lightning, so that a killed run ends as if it had never been killed."""

from __future__ import annotations

import hashlib
import logging
import shutil
import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock, Timeout
from pydantic import BaseModel, ConfigDict, ValidationError

from components.config import LabParams
from components.errors import UserError
from components.files import output_folder, read_json, sha256_file, write_json
from components.labs import Lab
from components.provenance import code_hash
from components.settings import settings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytorch_lightning.loggers import Logger

log = logging.getLogger(__name__)

KEPT_RUNS = 3
"""Checkpoint folders kept per lab: the last inputs can be gone back to without training again."""
FINISHED = "finished.json"


class Finished(BaseModel):
    """What a training that came to its end leaves. best: the file of the epoch that `metrics` is of."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    best: str
    epochs: int
    metrics: dict[str, float]
    monitor: str


def train(
    lab: Lab, params: LabParams, prepared: Path, out: Path, checkpoints: Path, loggers: Sequence[Logger] = ()
) -> dict[str, float]:
    """Trains on `prepared` and writes `out`: model.ckpt (weights of the best epoch), curve.csv, training.json.

    Checkpoints are kept outside `out`, in a folder of `checkpoints` named by the hash of the inputs: the same call
    after a kill goes on from the last epoch boundary, and after the end returns at once. On a CPU the resumed run's
    weights equal the uninterrupted one's, because every step's randomness is a function of (seed, step).
    Under torchrun this is what the process of rank zero does; the others `follow`, and find the same `checkpoints`.
    Returns the best epoch's metrics. Raises UserError on a full disk, where the old output then stays, and where
    another process trains with the same inputs.
    """
    from components.training.checkpoints import read_checkpoint, write_checkpoint

    with output_folder(out) as temporary:
        folder = _folder(lab, params, prepared, checkpoints)
        with _alone(lab, folder):
            finished = _finished(folder) or _fit(lab, params, prepared, folder, loggers)
            best = read_checkpoint(folder / finished.best)
            if best is None:
                raise UserError(f"{folder / finished.best} is damaged or gone: remove {folder} and train again")
            write_checkpoint(temporary / "model.ckpt", {"state_dict": best["state_dict"]})
            shutil.copyfile(folder / "curve.csv", temporary / "curve.csv")
            write_json(temporary / "training.json", finished.model_dump())
    _forget_old_runs(checkpoints / lab.name)
    return finished.metrics


def follow(lab: Lab, params: LabParams, prepared: Path, checkpoints: Path) -> None:
    """Trains up to the end with the process of rank zero, for the other processes that torchrun started."""
    folder = _folder(lab, params, prepared, checkpoints)
    if _finished(folder) is None:
        _fit(lab, params, prepared, folder, ())


def _folder(lab: Lab, params: LabParams, prepared: Path, checkpoints: Path) -> Path:
    folder = checkpoints / lab.name / _inputs_hash(lab, params, prepared)
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


def _finished(folder: Path) -> Finished | None:
    """What a training that came to its end left; None, and a warning, where that is damaged."""
    path = folder / FINISHED
    if not path.exists():
        return None
    try:
        return Finished.model_validate(read_json(path))
    except (UserError, ValidationError):
        log.warning("%s is damaged and is made again from the checkpoints", path)
        return None


def _fit(lab: Lab, params: LabParams, prepared: Path, folder: Path, loggers: Sequence[Logger]) -> Finished:
    import pytorch_lightning as pl
    import torch
    from pytorch_lightning.callbacks import ModelCheckpoint

    from components.training.callbacks import Curve, EpochLine, Patience, StepSeed
    from components.training.checkpoints import Checkpoints, read_checkpoint
    from components.training.sharding import Shards

    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", message=r".*LeafSpec.*is deprecated")  # Lightning's own call, once a batch
    warnings.filterwarnings("ignore", message=r"The number of training batches \(.*")  # true of every small slice
    warnings.filterwarnings(
        "ignore", message=r"Checkpoint directory .* exists and is not empty"
    )  # that is how we resume
    wanted, here = params.train, settings()
    pl.seed_everything(wanted.seed, verbose=False)
    module = lab.module(prepared, wanted)
    data = lab.datamodule(prepared, wanted)
    together = here.world_size > 1
    if together:
        if not module.automatic_optimization:
            raise UserError(f"{lab.name} takes its optimizers' steps itself: it trains in one process only")
        data = Shards(data, here.rank, here.world_size)
    monitor: str = module.monitor  # type: ignore[assignment]
    best = ModelCheckpoint(
        folder,
        filename="best",
        monitor=monitor,
        save_last=True,
        save_on_train_epoch_end=True,
        enable_version_counter=False,
    )
    curve = Curve(folder / "curve.csv")
    trainer = pl.Trainer(
        accelerator="auto",
        devices=here.local_world_size,
        num_nodes=here.world_size // here.local_world_size,
        strategy="ddp" if together else "auto",
        sync_batchnorm=together and torch.cuda.is_available(),
        precision=precision(wanted.precision),
        max_epochs=wanted.max_epochs,
        gradient_clip_val=wanted.gradient_clip,
        callbacks=[
            StepSeed(wanted.seed),
            curve,
            EpochLine(monitor),
            Patience(monitor, patience=wanted.patience, check_on_train_epoch_end=True),
            best,
        ],
        plugins=[Checkpoints()],
        logger=list(loggers),
        default_root_dir=folder,
        num_sanity_val_steps=0,
        reload_dataloaders_every_n_epochs=1,
        log_every_n_steps=wanted.log_every_n_steps,
        enable_progress_bar=sys.stderr.isatty() and here.rank == 0,
        enable_model_summary=False,
        use_distributed_sampler=False,
    )
    # The best epoch's is whole too, optimizer and all: the way back where the last one is damaged.
    boundaries = (folder / name for name in ("last.ckpt", "best.ckpt"))
    resumed = next((path for path in boundaries if read_checkpoint(path) is not None), None)
    if resumed and here.rank == 0:
        log.info("resuming %s from the last epoch boundary in %s", lab.name, resumed)
    started = time.monotonic()
    trainer.fit(module, data, ckpt_path=resumed, weights_only=True)
    finished = Finished(
        best=Path(best.best_model_path).name,
        epochs=trainer.current_epoch,
        metrics=curve.best(monitor),
        monitor=monitor,
    )
    if not trainer.is_global_zero:
        return finished
    took, device = time.monotonic() - started, trainer.strategy.root_device
    log.info("trained %s in %.0f s on %s, %s", lab.name, took, device, trainer.precision)
    write_json(folder / FINISHED, finished.model_dump())
    return finished


def precision(wanted: str) -> Any:
    """Lightning's precision: `auto` is bf16 where the hardware multiplies it fast, else 32-bit floats."""
    import torch

    if wanted != "auto":
        return wanted
    cuda = torch.cuda.is_available()
    return "bf16-mixed" if (torch.cuda.is_bf16_supported() if cuda else _cpu_multiplies_bf16()) else "32-true"


def _cpu_multiplies_bf16() -> bool:
    """Whether the CPU has AMX or AVX512-bf16; others emulate bf16, slower than 32-bit floats."""
    import torch

    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def _inputs_hash(lab: Lab, params: LabParams, prepared: Path) -> str:
    """Names the checkpoint folder: data, parameters, code, library and hardware kind that decide the weights."""
    import torch

    parts = [
        f"{file.relative_to(prepared)} {sha256_file(file)}" for file in sorted(prepared.rglob("*")) if file.is_file()
    ]
    parts += [params.train.model_dump_json(), code_hash(lab.name), torch.__version__]
    parts += [str(torch.cuda.is_available()), str(precision(params.train.precision))]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def _forget_old_runs(folder: Path) -> None:
    runs = sorted(folder.iterdir(), key=lambda run: run.stat().st_mtime, reverse=True)
    for run in runs[KEPT_RUNS:]:
        shutil.rmtree(run, ignore_errors=True)
