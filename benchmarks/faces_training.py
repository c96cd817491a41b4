"""How fast the face models learn, against the course's loops in the same run: `python -m benchmarks.faces_training`.

One core, both sides in turns, images per second of processor time, so that other work on the machine changes neither.
Ours include the jitter of every picture, which the course does not have. Also what resampling costs of an epoch.
"""

from __future__ import annotations

import argparse
import logging
import platform
import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.generation import processor
from components.datasets.faces.reader import Split, centre, read_split
from components.files import write_json
from components.labs.faces import LAB
from components.labs.faces.params import Train
from components.labs.faces.training.batches import FaceData
from components.labs.faces.training.dbvae import DebiasingVae
from components.labs.faces.training.model import FaceClassifier
from components.labs.faces.training.resampling import face_weights
from components.params import load
from components.training.trainer import precision

ROOT = Path(__file__).resolve().parent.parent
BATCH, LATENT = 32, 100
WARM = 5
COURSE_STEPS, OUR_STEPS = 60, 45
TARGETS = {"standard": 2.0, "dbvae": 2.0, "resampling_share": 0.05}
"""Times the course's images per second, and share of an epoch."""

log = logging.getLogger(__name__)


class CourseEncoder(nn.Sequential):
    """Lab 2B's (introtodeeplearning at e44754e): convolution, ReLU, batch norm, four times, and two linear layers."""

    def __init__(self, outputs: int) -> None:
        layers: list[nn.Module] = []
        for inputs, width, kernel in ((3, 12, 5), (12, 24, 5), (24, 48, 3), (48, 72, 3)):
            layers += [nn.Conv2d(inputs, width, kernel, 2, kernel // 2), nn.ReLU(), nn.BatchNorm2d(width)]
        super().__init__(*layers, nn.Flatten(), nn.Linear(1152, 512), nn.ReLU(), nn.Linear(512, outputs))


class CourseDecoder(nn.Sequential):
    def __init__(self) -> None:
        layers: list[nn.Module] = [nn.Linear(LATENT, 1152), nn.ReLU(), nn.Unflatten(1, (72, 4, 4))]
        for inputs, width, kernel in ((72, 48, 3), (48, 24, 3), (24, 12, 5), (12, 3, 5)):
            layers += [nn.ConvTranspose2d(inputs, width, kernel, 2, kernel // 2, output_padding=1), nn.ReLU()]
        super().__init__(*layers[:-1])


def course_losses(encoder: nn.Module, decoder: nn.Module | None, pictures: Tensor, labels: Tensor) -> Tensor:
    """As published; the faults that change what is learned change nothing of the time."""
    outputs: Tensor = encoder(pictures)
    loss = functional.binary_cross_entropy_with_logits(outputs[:, 0], labels, reduction="none")
    if decoder is None:
        return loss.mean()
    means, spread = outputs[:, 1 : 1 + LATENT], outputs[:, 1 + LATENT :]
    decoded: Tensor = decoder(means + torch.exp(spread) * torch.randn_like(means))
    divergence = 0.5 * (spread.exp() + means**2 - 1 - spread).sum(dim=1)
    reconstruction = (pictures - decoded).abs().mean(dim=(1, 2, 3))
    return (loss * labels + 5e-4 * divergence + reconstruction).mean()


def course_rate(split: Split, model: str) -> float:
    """Images per second of the course's loop: batches of 32, half of them faces, from an array in memory."""
    images, faces, others = centre(split.images), np.flatnonzero(split.is_face), np.flatnonzero(~split.is_face)
    encoder = CourseEncoder(1 if model == "standard" else 1 + 2 * LATENT)
    decoder = None if model == "standard" else CourseDecoder()
    weights = [*encoder.parameters(), *(decoder.parameters() if decoder else [])]
    optimizer = torch.optim.Adam(weights, lr=5e-4)
    for step in range(WARM + COURSE_STEPS):
        if step == WARM:
            started = time.process_time()
        halves = [np.random.choice(rows, BATCH // 2, replace=False) for rows in (faces, others)]
        rows = np.sort(np.concatenate(halves))
        batch = (images[rows][:, :, :, ::-1] / 255.0).astype(np.float32)
        pictures = torch.tensor(batch).permute(0, 3, 1, 2)
        labels = torch.tensor(split.is_face[rows], dtype=torch.float32)
        optimizer.zero_grad()
        course_losses(encoder, decoder, pictures, labels).backward()
        optimizer.step()
    return COURSE_STEPS * BATCH / (time.process_time() - started)


class Stopwatch(pl.Callback):
    """Processor seconds and images from the end of batch WARM on, loading and jitter included."""

    def __init__(self) -> None:
        self.images, self.started, self.seconds = 0, 0.0, 0.0

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if batch_idx < WARM:
            self.started = time.process_time()
        else:
            self.images += len(batch.images)
            self.seconds = time.process_time() - self.started


def our_rate(data: FaceData, params: Train, model: FaceClassifier) -> float:
    """Images per second of a part of an epoch, as the step train runs it."""
    stopwatch = Stopwatch()
    trainer = pl.Trainer(
        accelerator="cpu",
        precision=precision(params.precision),
        max_epochs=1,
        limit_train_batches=WARM + OUR_STEPS,
        limit_val_batches=0,
        gradient_clip_val=params.gradient_clip,
        callbacks=[stopwatch],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(model, data)
    return stopwatch.images / stopwatch.seconds


def measure(prepared: Path, params: Train, rounds: int) -> dict[str, Any]:
    torch.set_num_threads(1)
    split, data = read_split(prepared, "train", in_memory=True), FaceData(prepared, params)
    turns = []
    for turn in range(rounds):
        found: dict[str, dict[str, float]] = {}
        for name in ("standard", "dbvae"):
            settings = params.model_copy(update={"model": name})
            model = DebiasingVae(settings) if name == "dbvae" else FaceClassifier(settings)
            found[name] = {"course": course_rate(split, name), "ours": our_rate(data, settings, model)}
        started = time.process_time()
        assert isinstance(model, DebiasingVae)
        face_weights(model, split.images, data.faces, settings)
        resampling = time.process_time() - started
        epoch = sum(map(len, data.epoch(0).order)) / found["dbvae"]["ours"]
        found["resampling"] = {"seconds": resampling, "epoch_seconds": epoch}
        log.info("turn %d: %s", turn + 1, found)
        turns.append(found)
    rates = {
        name: {side: statistics.median(turn[name][side] for turn in turns) for side in ("course", "ours")}
        for name in ("standard", "dbvae")
    }
    shares = [turn["resampling"]["seconds"] / turn["resampling"]["epoch_seconds"] for turn in turns]
    return {
        "unit": "images per second of processor time, one thread",
        "images_per_second": rates,
        "ratio": {name: both["ours"] / both["course"] for name, both in rates.items()},
        "resampling_share": statistics.median(shares),
        "target": TARGETS,
        "rounds": turns,
        "precision": str(precision(params.precision)),
        "faces": len(data.faces),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--prepared", type=Path, default=ROOT / "build" / "faces" / "prepare")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "faces_training.json")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
    params = load(LAB, ROOT / "params.yaml").train
    assert isinstance(params, Train)
    result = measure(options.prepared, params, options.rounds)
    result["machine"] = {
        "processor": processor(),
        "torch": torch.__version__,
        "python": platform.python_version(),
        "bf16": torch.ops.mkldnn._is_mkldnn_bf16_supported(),
    }
    write_json(options.out, result)
    log.info("%s times the course's; resampling %.1f %%", result["ratio"], 100 * result["resampling_share"])


if __name__ == "__main__":
    main()
