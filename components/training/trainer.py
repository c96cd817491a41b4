"""Lightning's Trainer, set up so that a killed training goes on from its last epoch boundary to the same weights."""

from __future__ import annotations

import logging
import sys
import time
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, ValidationError

from components.config import TrainParams
from components.errors import UserError
from components.files import read_json, write_json
from components.labs import Inputs, Lab
from components.settings import settings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytorch_lightning.loggers import Logger

log = logging.getLogger(__name__)

FINISHED = "finished.json"


class Finished(BaseModel):
    """What a training that came to its end leaves. best: the file of the epoch that `metrics` is of."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    best: str
    epochs: int
    metrics: dict[str, float]
    monitor: str


def finished_in(folder: Path) -> Finished | None:
    """What a training that came to its end left; None, and a warning, where that is damaged."""
    path = folder / FINISHED
    if not path.exists():
        return None
    try:
        return Finished.model_validate(read_json(path))
    except (UserError, ValidationError):
        log.warning("%s is damaged and is made again from the checkpoints", path)
        return None


def fit(lab: Lab, params: TrainParams, inputs: Inputs, folder: Path, loggers: Sequence[Logger] = ()) -> Finished:
    """Trains into `folder`, from its last epoch boundary where it holds one, to the end.

    Leaves best.ckpt, curve.csv and, in the process of rank zero, finished.json. Raises UserError where several
    processes are to train a module that takes its optimizers' steps itself, or such a module is to be clipped.
    """
    import pytorch_lightning as pl
    import torch
    from pytorch_lightning.callbacks import ModelCheckpoint

    from components.training.callbacks import Curve, EpochLine, Patience, StepSeed
    from components.training.checkpoints import Checkpoints, read_checkpoint
    from components.training.sharding import Shards

    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", message=r".*LeafSpec.*is deprecated")  # Lightning's own call, once a batch
    warnings.filterwarnings("ignore", message=r"The number of training batches \(.*")  # true of every small slice
    warnings.filterwarnings("ignore", message=".*returned `None`")  # an epoch that fits a head descends no gradient
    warnings.filterwarnings(
        "ignore", message=r"Checkpoint directory .* exists and is not empty"
    )  # that is how we resume
    here = settings()
    pl.seed_everything(params.seed, verbose=False)
    module = lab.module(inputs, params)
    data = lab.data(inputs, params)
    if params.gradient_clip is not None and not module.automatic_optimization:
        raise UserError(f"{lab.name} takes its optimizers' steps itself: leave out {lab.name}.train.gradient_clip")
    together = here.world_size > 1
    if together:
        if not module.automatic_optimization:
            raise UserError(f"{lab.name} takes its optimizers' steps itself: it trains in one process only")
        data = Shards(data, here.rank, here.world_size)
    monitor = lab.monitor
    best = ModelCheckpoint(
        folder,
        filename="best",
        monitor=monitor.name,
        mode=monitor.direction,
        save_on_train_epoch_end=True,
        enable_version_counter=False,
    )
    # Not `save_last` of the one above: it leaves out epochs that are not the best so far, and a kill would undo them.
    last = ModelCheckpoint(folder, filename="last", save_on_train_epoch_end=True, enable_version_counter=False)
    curve = Curve(folder / "curve.csv")
    trainer = pl.Trainer(
        accelerator="auto",
        devices=here.local_world_size,
        num_nodes=here.world_size // here.local_world_size,
        strategy="ddp" if together else "auto",
        sync_batchnorm=together and torch.cuda.is_available(),
        precision=precision(params.precision),
        max_epochs=params.max_epochs,
        gradient_clip_val=params.gradient_clip,
        callbacks=[
            StepSeed(params.seed),
            curve,
            EpochLine(monitor.name),
            Patience(monitor.name, mode=monitor.direction, patience=params.patience, check_on_train_epoch_end=True),
            best,
            last,
        ],
        plugins=[Checkpoints()],
        logger=list(loggers),
        default_root_dir=folder,
        num_sanity_val_steps=0,
        reload_dataloaders_every_n_epochs=1,
        log_every_n_steps=params.log_every_n_steps,
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
        metrics=curve.best(monitor.name, monitor.direction),
        monitor=monitor.name,
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
