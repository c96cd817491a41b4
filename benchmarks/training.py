"""How fast and how well the model learns, against the notebook's loop in the same run: `python -m benchmarks.training`.

Speed: one core, both sides in turns, characters per second of processor time, so that other work on the machine
changes neither; ours also in 32-bit floats, as on a CPU without bf16. With `--quality` also bits per character of the
test tunes (an hour): the recipe at its best point, which is chosen on these same tunes in its favour, and the exported
bundles of three seeds of ours; without it, what was measured before stays in the file.
"""

from __future__ import annotations

import argparse
import json
import logging
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from torch import nn

from benchmarks.generation import NotebookModel, processor
from components.bundle import Bundle
from components.config import LabParams
from components.datasets import find_dataset
from components.datasets.music.reader import read_texts
from components.files import write_json
from components.labs import Inputs, find
from components.labs.music.evaluation import likelihood
from components.labs.music.params import Train
from components.labs.music.runtime.model import TuneModel
from components.labs.music.training.model import IGNORED, MusicData, MusicModel, bits_per_char, read_vocabulary
from components.params import load, load_dataset
from components.provenance import provenance
from components.steps.export import export
from components.steps.train import train
from components.training.trainer import precision

ROOT = Path(__file__).resolve().parent.parent
BATCH, SEQUENCE, LEARNING_RATE = 8, 100, 5e-3
ITERATIONS, EVERY = 1500, 250
SEEDS = (1, 2, 3)
TARGETS = {"speed": 3.0, "speed_float": 1.0, "quality": 0.83}
"""Times the recipe's characters per second (where bf16 is fast; where it is not), and its bits per character."""

log = logging.getLogger(__name__)


class FromZero(nn.Module):
    """The notebook's model as it is trained and evaluated: from a zero state."""

    def __init__(self, characters: int) -> None:
        super().__init__()
        self.model = NotebookModel(characters)

    def forward(self, ids: torch.Tensor) -> tuple[torch.Tensor, tuple[torch.Tensor, torch.Tensor]]:
        zeros = torch.zeros(1, len(ids), 1024)
        logits, state = self.model(ids, (zeros, zeros))
        return logits, state


def learn_as_the_notebook(model: FromZero, ids: np.ndarray, iterations: int) -> Iterator[int]:
    """The notebook's loop, its progress bar and plot left out: random windows, Adam, nothing else. Yields 1, 2, ..."""
    optimizer = torch.optim.Adam(model.parameters(), lr=LEARNING_RATE)
    loss_of = nn.CrossEntropyLoss()
    for iteration in range(1, iterations + 1):
        starts = np.random.choice(len(ids) - 1 - SEQUENCE, BATCH)
        inputs = torch.tensor(np.array([ids[start : start + SEQUENCE] for start in starts]))
        targets = torch.tensor(np.array([ids[start + 1 : start + SEQUENCE + 1] for start in starts]))
        model.train()
        optimizer.zero_grad()
        logits, _ = model(inputs)
        loss = loss_of(logits.reshape(-1, logits.shape[-1]), targets.reshape(-1))
        loss.backward()
        optimizer.step()
        yield iteration


class Stopwatch(pl.Callback):
    """Processor seconds and characters from the fifth step on; the ones before warm up."""

    def __init__(self) -> None:
        self.characters, self.seconds = 0, 0.0

    def on_train_batch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, index: int) -> None:
        self.started = time.process_time()

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, index: int
    ) -> None:
        if index >= 5:
            self.seconds += time.process_time() - self.started
            self.characters += int((batch.targets != IGNORED).sum())


def our_rate(prepared: Path, params: LabParams) -> float:
    """Characters per second of a part of an epoch, as the step train runs it."""
    stopwatch = Stopwatch()
    trainer = pl.Trainer(
        accelerator="cpu",
        precision=precision(params.train.precision),
        max_epochs=1,
        limit_train_batches=20,
        limit_val_batches=0,
        gradient_clip_val=params.train.gradient_clip,
        callbacks=[stopwatch],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    own = params.train
    assert isinstance(own, Train)
    trainer.fit(MusicModel.create(prepared, own), MusicData(prepared, own))
    return stopwatch.characters / stopwatch.seconds


def recipe_rate(prepared: Path) -> float:
    """Characters per second of the notebook's loop."""
    model = FromZero(len(read_vocabulary(prepared)))
    loop = learn_as_the_notebook(model, train_ids(prepared), 25)
    for _ in range(5):
        next(loop)
    started = time.process_time()
    return sum(BATCH * SEQUENCE for _ in loop) / (time.process_time() - started)


def speed(prepared: Path, params: LabParams, rounds: int) -> dict[str, Any]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    floats = params.model_copy(update={"train": params.train.model_copy(update={"precision": "32-true"})})
    sides: dict[str, Callable[[], float]] = {
        "notebook": lambda: recipe_rate(prepared),
        "ours": lambda: our_rate(prepared, params),
        "ours_float": lambda: our_rate(prepared, floats),
    }
    turns = [{name: rate() for name, rate in sides.items()} for _ in range(rounds)]
    torch.set_num_threads(threads)
    medians = {name: statistics.median(turn[name] for turn in turns) for name in sides}
    return {
        "unit": "characters per second of processor time, one thread",
        "characters_per_second": medians,
        "rounds": turns,
        "precision": str(precision(params.train.precision)),
        "ratio": medians["ours"] / medians["notebook"],
        "target_ratio": TARGETS["speed"],
        "ratio_float": medians["ours_float"] / medians["notebook"],
        "target_ratio_float": TARGETS["speed_float"],
    }


def recipe_quality(prepared: Path) -> dict[str, float]:
    """Bits per character of the test tunes, by iteration."""
    test, vocabulary = read_texts(prepared, "test"), read_vocabulary(prepared)
    torch.manual_seed(0)
    np.random.seed(0)
    model = FromZero(len(vocabulary))
    found = {}
    for iteration in learn_as_the_notebook(model, train_ids(prepared), ITERATIONS):
        if iteration % EVERY == 0:
            found[str(iteration)] = bits_per_char(model.eval(), test, vocabulary)
            log.info("recipe, iteration %d: %.4f bits per character", iteration, found[str(iteration)])
    return found


def quality(prepared: Path, params: LabParams, recipe: dict[str, float]) -> dict[str, Any]:
    """Ours, a seed after the other, beside the recipe's figures."""
    ours, digests, seconds = {}, {}, {}
    for seed in SEEDS:
        started = time.monotonic()
        seeded = params.model_copy(update={"train": params.train.model_copy(update={"seed": seed})})
        ours[seed], digests[seed] = test_bits(prepared, seeded)
        seconds[seed] = time.monotonic() - started
        log.info("ours, seed %d: %.4f bits per character, %.0f s", seed, ours[seed], seconds[seed])
    best, mean = min(recipe.values()), statistics.fmean(ours.values())
    return {
        "unit": "bits per character of the test tunes, each read from its start; ours by the exported bundle",
        "notebook_by_iteration": recipe,
        "notebook_best": best,
        "ours_by_seed": ours,
        "ours_digests": digests,
        "ours_mean": mean,
        "ours_training_seconds": seconds,
        "threads": torch.get_num_threads(),
        "ratio": mean / best,
        "target_ratio": TARGETS["quality"],
    }


def test_bits(prepared: Path, params: LabParams) -> tuple[float, str]:
    """Trains and exports as the steps do, and reads the test tunes once, with the bundle's default graph.

    Returns their bits per character, and the bundle's digest.
    """
    lab = find("music")
    with tempfile.TemporaryDirectory() as scratch:
        trained, bundle = Path(scratch, "train"), Path(scratch, "export")
        inputs, dataset = Inputs(prepared), load_dataset(find_dataset(lab.dataset), ROOT / "params.yaml")
        train(lab, params.train, inputs, trained, Path(scratch, "checkpoints"))
        export(lab, params, provenance(lab, params, dataset, ROOT), inputs, trained, bundle)
        opened = Bundle.open(bundle)
        bits = likelihood.bits_of(TuneModel.load(opened), read_texts(prepared, "test"), batch=32)
        return likelihood.bits_per_char(bits), opened.digest


def train_ids(prepared: Path) -> np.ndarray:
    """The training tunes as one text of indices, joined as the notebook joins them."""
    index = {character: number for number, character in enumerate(read_vocabulary(prepared))}
    return np.array([index[character] for character in "\n\n".join(read_texts(prepared, "train"))])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", type=Path, default=ROOT / "build" / "music", help="what the steps wrote")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "training.json")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--quality", action="store_true", help="train to the end: the recipe, and three seeds of ours")
    parser.add_argument(
        "--keep-recipe",
        action="store_true",
        help="take the recipe's figures from OUT: our parameters change none",
    )
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    prepared, params = options.build / "prepare", load(find("music"), ROOT / "params.yaml")
    result: dict[str, Any] = json.loads(options.out.read_text()) if options.out.exists() else {}
    result["speed"] = speed(prepared, params, options.rounds)
    log.info(
        "speed: %.2f times the notebook's, %.2f in 32-bit floats",
        result["speed"]["ratio"],
        result["speed"]["ratio_float"],
    )
    if options.quality:
        known = result["quality"]["notebook_by_iteration"] if options.keep_recipe else recipe_quality(prepared)
        result["quality"] = quality(prepared, params, known)
    result["machine"] = {
        "processor": processor(),
        "torch": torch.__version__,
        "python": platform.python_version(),
        "bf16": torch.ops.mkldnn._is_mkldnn_bf16_supported(),
    }
    options.out.parent.mkdir(parents=True, exist_ok=True)
    write_json(options.out, result)
    log.info("wrote %s", options.out)


if __name__ == "__main__":
    main()
