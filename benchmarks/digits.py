"""How fast digits are learned, against the course's loops in the same run: `python -m benchmarks.digits`.

Training images per second of processor time on one thread, all sides in turns, so that other work on the machine
changes none. The course's side is its notebook's: a picture at a time from bytes through Pillow to a tensor, a
DataLoader that collects 64 of them, plain gradient descent. Ours is what the step train runs, Lightning included.
`digits_default` is the network of params.yaml, which is another than the course's: `digits_same_network` says what
part of the ratio comes from the loop. Also what short trainings reach, and how fast the exported variants read, where
`build/digits/export` has a bundle.
"""

from __future__ import annotations

import argparse
import logging
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader, Dataset

from benchmarks.generation import processor
from components.bundle import Bundle
from components.datasets.digits.reader import Split, read_split
from components.families.classification.params import Augmentation
from components.families.classification.runtime import DigitModel
from components.families.classification.training.batches import DigitsData
from components.families.classification.training.ink import to_ink
from components.files import write_json
from components.labs import find
from components.labs.digits.model import DigitsModel, network
from components.labs.digits.params import Train as DigitsTrain
from components.labs.mlp.params import Train as MlpTrain
from components.labs.mlp.training.model import MlpModel
from components.params import load
from components.training.trainer import precision

ROOT = Path(__file__).resolve().parent.parent
COURSE_BATCH = 64
OUR_BATCH = 256
"""Pictures a step in our loop: with 64, what a step costs beside the network counts four times as much."""
WARM_UP = 5
"""Steps that are not counted."""
TARGETS = {"mlp_same_network": 1.0, "digits_default": 4.0}
"""Ratios to the course's loop that are asked for; for digits with the network and augmentation of params.yaml."""
STILL = Augmentation(shift=0, rotation=0, scale=0, shear=0, blur=0, noise=0)
ALIKE = {"augmentation": STILL, "learning_rate": 0.1}
"""The course's network in our loop: without batch norm it learns at a lower rate than the default network."""

log = logging.getLogger(__name__)


class CoursePictures(Dataset[tuple[torch.Tensor, int]]):
    """As torchvision's MNIST with ToTensor gives them: bytes, a Pillow image, bytes again, floats from 0 to 1."""

    def __init__(self, split: Split) -> None:
        self.images, self.labels = torch.from_numpy(split.images), torch.from_numpy(split.labels)

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        picture = Image.fromarray(self.images[index].numpy(), mode=None)
        values = torch.from_numpy(np.array(picture, np.uint8, copy=True)).view(28, 28, 1)
        return values.permute(2, 0, 1).contiguous().to(torch.float32).div(255), int(self.labels[index])


def course_fully_connected() -> nn.Sequential:
    return nn.Sequential(nn.Flatten(), nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 10))


def course_convolutional(largest_first: bool = False) -> nn.Sequential:
    """largest_first: pooling before ReLU, which computes the same with less work."""
    pooled = (nn.MaxPool2d(2), nn.ReLU()) if largest_first else (nn.ReLU(), nn.MaxPool2d(2))
    return nn.Sequential(
        *(nn.Conv2d(1, 24, 3), *pooled),
        *(nn.Conv2d(24, 36, 3), *pooled),
        *(nn.Flatten(), nn.Linear(36 * 5 * 5, 128), nn.ReLU(), nn.Linear(128, 10)),
    )


def same_network() -> nn.Sequential:
    """The course's, as `digits` lays out its own."""
    model = course_convolutional(largest_first=True)
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return model


def learned(network: nn.Sequential, params: Any, prepared: Path) -> dict[str, float]:
    """Test accuracy of a network after a training, and the processor time that took."""
    pl.seed_everything(params.seed, verbose=False)
    model = DigitsModel(network, params)
    started = time.process_time()
    trainer(params, max_epochs=params.max_epochs, reload_dataloaders_every_n_epochs=1).fit(
        model, DigitsData(prepared, params)
    )
    seconds = time.process_time() - started
    test = read_split(prepared, "test")
    with torch.inference_mode():
        logits = torch.cat([model.eval()(to_ink(some)) for some in torch.from_numpy(test.images).split(1000)])
    accuracy = float((logits.argmax(dim=1).numpy() == test.labels).mean())
    return {"epochs": params.max_epochs, "test_accuracy": accuracy, "processor_seconds": seconds}


def course_rate(model: nn.Module, learning_rate: float, train: Split, steps: int) -> float:
    """Images per second of the notebook's loop, its progress bar left out."""
    optimizer = torch.optim.SGD(model.parameters(), lr=learning_rate)
    loss_of = nn.CrossEntropyLoss()
    seen = 0
    started = 0.0
    for step, (images, labels) in enumerate(DataLoader(CoursePictures(train), COURSE_BATCH, shuffle=True)):
        if step == WARM_UP:
            started = time.process_time()
        if step == WARM_UP + steps:
            break
        logits = model(images)
        loss = loss_of(logits, labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        seen += len(labels) if step >= WARM_UP else 0
    return seen / (time.process_time() - started)


class Stopwatch(pl.Callback):
    """Processor time from the end of the warm-up to the end of the last step: loading, augmenting, Lightning, all."""

    def __init__(self) -> None:
        self.images, self.started, self.seconds = 0, 0.0, 0.0

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, index: int
    ) -> None:
        if index == WARM_UP - 1:
            self.started = time.process_time()
        elif index >= WARM_UP:
            self.images += len(batch.labels)
            self.seconds = time.process_time() - self.started


def trainer(params: Any, **options: Any) -> pl.Trainer:
    """As the step train makes it, without its files."""
    return pl.Trainer(
        accelerator="cpu",
        precision=precision(params.precision),
        gradient_clip_val=params.gradient_clip,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        **options,
    )


def our_rate(module: pl.LightningModule, params: Any, prepared: Path, steps: int) -> float:
    """Images per second of a part of an epoch, as the step train runs it."""
    stopwatch = Stopwatch()
    limits = {"limit_train_batches": WARM_UP + steps, "limit_val_batches": 0}
    trainer(params, max_epochs=1, callbacks=[stopwatch], **limits).fit(module, DigitsData(prepared, params))
    return stopwatch.images / stopwatch.seconds


def digits_params() -> DigitsTrain:
    params = load(find("digits"), ROOT / "params.yaml").train
    assert isinstance(params, DigitsTrain)
    return params


def sides(prepared: Path, steps: int) -> dict[str, Callable[[], float]]:
    """What is measured, by name."""
    train = read_split(prepared, "train")
    mlp, digits = load(find("mlp"), ROOT / "params.yaml").train, digits_params()
    assert isinstance(mlp, MlpTrain)
    alike = mlp.model_copy(update={"hidden_sizes": (128,), "augmentation": STILL})
    still = digits.model_copy(update={**ALIKE, "batch_size": OUR_BATCH})
    moved = digits.model_copy(update={"batch_size": OUR_BATCH})
    alike_batch = still.model_copy(update={"batch_size": COURSE_BATCH})
    return {
        "course_fully_connected": lambda: course_rate(course_fully_connected(), 0.1, train, 4 * steps),
        "mlp_same_network": lambda: our_rate(MlpModel(alike), alike, prepared, 4 * steps),
        "mlp_default": lambda: our_rate(MlpModel(mlp), mlp, prepared, 4 * steps),
        "course_convolutional": lambda: course_rate(course_convolutional(), 0.01, train, steps),
        "digits_same_network": lambda: our_rate(DigitsModel(same_network(), still), still, prepared, steps),
        "digits_same_network_same_batch": lambda: our_rate(
            DigitsModel(same_network(), alike_batch), alike_batch, prepared, steps
        ),
        "digits_same_network_augmented": lambda: our_rate(DigitsModel(same_network(), moved), moved, prepared, steps),
        "digits_default": lambda: our_rate(DigitsModel(network(digits), digits), digits, prepared, steps),
    }


def reading(bundle: Bundle, images: np.ndarray, rounds: int) -> dict[str, Any]:
    """Milliseconds of one thread that each variant takes for a picture, alone and in a batch of 64."""
    models = {variant: DigitModel.load(bundle, variant) for variant in bundle.spec["variants"]}

    def milliseconds(model: DigitModel, batch: int) -> float:
        model.logits(images[:batch], batch)
        started = time.process_time()
        model.logits(images[: 10 * batch + 500], batch)
        return 1000 * (time.process_time() - started) / (10 * batch + 500)

    return {
        variant: {
            "bytes": (bundle.folder / bundle.manifest.graphs[variant].file).stat().st_size,
            **{
                f"batch_{batch}": statistics.median(milliseconds(model, batch) for _ in range(rounds))
                for batch in (1, 64)
            },
        }
        for variant, model in models.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", type=Path, default=ROOT / "build" / "digits", help="what the steps wrote")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "digits.json")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--steps", type=int, default=60, help="steps of a convolutional side; the others take four times"
    )
    parser.add_argument(
        "--epochs", type=int, default=7, help="of the course's network in our loop, to see what it learns; 0 for none"
    )
    parser.add_argument("--short-epochs", type=int, default=2, help="of the default network, likewise")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
    torch.set_num_threads(1)
    measured = sides(options.build / "prepare", options.steps)
    turns = [{name: rate() for name, rate in measured.items()} for _ in range(options.rounds)]
    rates = {name: statistics.median(turn[name] for turn in turns) for name in measured}
    result: dict[str, Any] = {
        "unit": "training images per second of processor time, one thread",
        "images_per_second": rates,
        "rounds": turns,
        "ratio": {
            name: rates[name] / rates["course_" + ("fully_connected" if name.startswith("mlp") else "convolutional")]
            for name in rates
            if not name.startswith("course")
        },
        "target_ratio": TARGETS,
        "machine": {
            "processor": processor(),
            "torch": torch.__version__,
            "python": platform.python_version(),
            "bf16": torch.ops.mkldnn._is_mkldnn_bf16_supported(),
        },
    }
    digits = digits_params()
    still = digits.model_copy(update={**ALIKE, "batch_size": OUR_BATCH, "max_epochs": options.epochs})
    short = digits.model_copy(update={"max_epochs": options.short_epochs})
    if options.epochs:
        result["same_network_learned"] = learned(same_network(), still, options.build / "prepare")
        log.info("the same network in our loop: %s", result["same_network_learned"])
    if options.short_epochs:
        result["default_learned"] = learned(network(short), short, options.build / "prepare")
        log.info("the default network in a short training: %s", result["default_learned"])
    if (options.build / "export").is_dir():
        images = read_split(options.build / "prepare", "test").images
        result["reading_milliseconds"] = reading(Bundle.open(options.build / "export"), images, options.rounds)
    write_json(options.out, result)
    for name, ratio in result["ratio"].items():
        log.info("%s: %.0f images/s, %.2f times the course's", name, rates[name], ratio)
    log.info("wrote %s", options.out)


if __name__ == "__main__":
    main()
