"""What a pretrained backbone is worth on a small labelled set: `python -m benchmarks.transfer`.

A slim VGG16 is pretrained on faces and written as a state file with torchvision's names. Then, for each of several
seeds (which also choose the labelled pictures), the same network is trained on the same pictures for the same number
of epochs twice: from that file (by path and hash, new head, frozen, then thawed), and from scratch, all of it learning
from the first epoch. Scratch gets the best of several learning rates, by its accuracy on validation pictures with the
seed of params.yaml; fine-tuning has the one of params.yaml. Both keep the epoch of the highest validation accuracy.
"""

from __future__ import annotations

import argparse
import hashlib
import logging
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch

from benchmarks.generation import processor
from components.datasets.faces.category_reader import categories, middle, photographs
from components.files import output_folder, read_json, sha256_file, write_json
from components.labs import Inputs
from components.labs.transfer import LAB
from components.labs.transfer.params import Train
from components.labs.transfer.training.batches import TransferData
from components.labs.transfer.training.model import TransferModel
from components.params import load
from components.steps.train import train
from components.training.trainer import precision

ROOT = Path(__file__).resolve().parent.parent
STATE = "vgg.pth"

log = logging.getLogger(__name__)


def pretrained(prepared: Path, params: Train, out: Path) -> Path:
    """Pretrains on faces and writes the convolutions as a state file, once. Returns its path."""
    if not (out / STATE).exists():
        pl.seed_everything(params.seed, verbose=False)
        model = TransferModel(params, categories(prepared), out)
        trainer = pl.Trainer(
            accelerator="auto",
            devices=1,
            precision=precision(params.precision),
            max_epochs=params.pretraining_epochs,
            gradient_clip_val=params.gradient_clip,
            reload_dataloaders_every_n_epochs=1,
            limit_val_batches=0,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        started = time.monotonic()
        trainer.fit(model, TransferData(prepared, params))
        loss = float(trainer.callback_metrics["train_loss"])
        log.info("pretrained in %.0f s, training loss %.3f", time.monotonic() - started, loss)
        with output_folder(out) as folder:
            torch.save(model.backbone.state_dict(), folder / STATE)
            write_json(folder / "pretraining.json", {"epochs": params.pretraining_epochs, "train_loss": loss})
    return out / STATE


def trained(params: Train, prepared: Path, work: Path, **changes: Any) -> dict[str, float]:
    """Accuracy on validation and test pictures of one training with changed parameters; a killed one goes on."""
    chosen = Train.model_validate(params.model_dump() | changes)
    with tempfile.TemporaryDirectory() as out:
        # A folder for each: the step keeps the checkpoints of its last few runs only.
        kept = work / "checkpoints" / hashlib.sha256(chosen.model_dump_json().encode()).hexdigest()[:16]
        best = train(LAB, chosen, Inputs(prepared), Path(out, "train"), kept)
        model = TransferModel(chosen, categories(prepared), work)
        model.load_state_dict(torch.load(Path(out, "train", "model.ckpt"), weights_only=True)["state_dict"])
    test = photographs(prepared, "audit")
    with torch.inference_mode():
        images = torch.from_numpy(middle(test.images, chosen.input_size))
        answers = torch.cat([model.eval()(some).argmax(dim=1) for some in images.split(64)]).numpy()
    return {
        "validation": 1 - best["val_error"],
        "test": float((answers == test.labels).mean()),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", type=Path, default=ROOT / "build" / "transfer", help="what the steps wrote")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "transfer.json")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--rates", type=float, nargs="+", default=[2.5e-4, 5e-4, 1e-3, 2e-3], help="tried from scratch")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
    torch.set_num_threads(1)
    params = load(LAB, ROOT / "params.yaml").train
    assert isinstance(params, Train)
    prepared, work = options.build / "faces" / "prepare", options.build / "transfer" / "benchmark"
    state = pretrained(prepared, params, work / "pretrained")
    epochs = params.max_epochs - params.pretraining_epochs
    file: dict[str, Any] = {"weights": str(state), "sha256": sha256_file(state)}
    tuned: dict[str, Any] = {**file, "pretraining_epochs": 0, "max_epochs": epochs}
    scratch: dict[str, Any] = {"pretraining_epochs": 0, "frozen_epochs": 0, "max_epochs": epochs}
    rates = {rate: trained(params, prepared, work, **scratch, learning_rate=rate) for rate in options.rates}
    for rate, measured in rates.items():
        log.info("from scratch at %g: validation accuracy %.1f %%", rate, 100 * measured["validation"])
    best = max(rates, key=lambda rate: rates[rate]["validation"])
    rounds: list[dict[str, Any]] = []
    for seed in range(1, options.seeds + 1):
        both = {
            "fine_tuned": trained(params, prepared, work, **tuned, seed=seed),
            "from_scratch": trained(params, prepared, work, **scratch, seed=seed, learning_rate=best),
        }
        log.info("seed %d: %s", seed, ", ".join(f"{name} {100 * each['test']:.1f} %" for name, each in both.items()))
        rounds.append({"seed": seed, **both})
    means = {name: statistics.mean(each[name]["test"] for each in rounds) for name in ("fine_tuned", "from_scratch")}
    gains = [each["fine_tuned"]["test"] - each["from_scratch"]["test"] for each in rounds]
    write_json(
        options.out,
        {
            "unit": "share of held-out photographs put into the right category",
            "mean_accuracy": means,
            "gain": {"mean": statistics.mean(gains), "least": min(gains), "most": max(gains)},
            "rounds": rounds,
            "labelled": params.labelled,
            "categories": len(categories(prepared)),
            "test_photographs": len(photographs(prepared, "audit").labels),
            "pretraining": read_json(work / "pretrained" / "pretraining.json"),
            "scratch_learning_rate": best,
            "scratch_rates": {f"{rate:g}": measured for rate, measured in rates.items()},
            "machine": {"processor": processor(), "torch": torch.__version__},
        },
    )
    log.info("mean: %s; wrote %s", ", ".join(f"{name} {100 * mean:.1f} %" for name, mean in means.items()), options.out)


if __name__ == "__main__":
    main()
