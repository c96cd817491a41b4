"""What ImageNet's weights are worth on a small labelled set: `python -m benchmarks.transfer`.

For each of several seeds, which choose the labelled pictures, the network of params.yaml is fine-tuned, and the head
alone is fitted to frozen features (its first epoch). With the first seed the same network is trained from scratch, too,
for `--scratch-epochs`. The head alone is also fitted to 1, 2, 5, 10 and 20 pictures of each category. Every side keeps
the epoch of the highest validation accuracy; all figures are of test photographs, of the model before its export.
"""

from __future__ import annotations

import argparse
import hashlib
import logging
import shutil
import statistics
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from benchmarks.generation import processor
from components.datasets.faces.category_reader import categories, photographs
from components.errors import UserError
from components.files import write_json
from components.labs import Inputs
from components.labs.transfer import LAB
from components.labs.transfer.params import Train
from components.labs.transfer.training.backbones import backbone
from components.labs.transfer.training.model import TransferModel
from components.params import load
from components.steps import inputs_of
from components.steps.train import train

ROOT = Path(__file__).resolve().parent.parent
LABELLED = (1, 2, 5, 10, 20)

log = logging.getLogger(__name__)


def trained(params: Train, inputs: Inputs, work: Path, **changes: Any) -> dict[str, float]:
    """Accuracy on validation and test pictures of one training with changed parameters.

    A killed one goes on, and its seconds are of what was left; one that has ended begins anew.
    """
    chosen = Train.model_validate(params.model_dump() | changes)
    kept = work / hashlib.sha256(chosen.model_dump_json().encode()).hexdigest()[:16]
    started = time.process_time()
    with tempfile.TemporaryDirectory() as out:
        # A folder for each: the step keeps the checkpoints of its last few runs only.
        best = train(LAB, chosen, inputs, Path(out, "train"), kept)
        model = TransferModel(chosen, categories(inputs.prepared), inputs.pretrained, work)
        model.load_state_dict(torch.load(Path(out, "train", "model.ckpt"), weights_only=True)["state_dict"])
    seconds = time.process_time() - started
    test = photographs(inputs.prepared, "audit", chosen.input_size)
    with torch.inference_mode():
        pieces = torch.from_numpy(test.images).split(32)
        answers = torch.cat([model.eval()(some).argmax(dim=1) for some in pieces]).numpy()
    found = {"validation": 1 - best["val_error"], "test": float((answers == test.labels).mean()), "seconds": seconds}
    shutil.rmtree(kept)
    log.info("%s: test accuracy %.1f %%, %.0f s of processor time", changes, 100 * found["test"], seconds)
    return found


def by_labelled(params: Train, inputs: Inputs, work: Path, head: Mapping[str, Any]) -> dict[int, float]:
    """Test accuracy of the head alone against labelled pictures of each category, as far as the data has so many."""
    found = {}
    for labelled in LABELLED:
        try:
            found[labelled] = trained(params, inputs, work, **head, labelled=labelled)["test"]
        except UserError as error:
            log.warning("%s", error)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", type=Path, default=ROOT / "build", help="what the steps wrote")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "transfer.json")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--scratch-epochs", type=int, default=30)
    parser.add_argument("--scratch-rate", type=float, default=1e-3, help="learning rate from scratch")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
    torch.set_num_threads(1)
    params = load(LAB, ROOT / "params.yaml").train
    assert isinstance(params, Train)
    inputs, work = inputs_of(LAB, options.build), options.build / "transfer" / "benchmark"
    head: dict[str, Any] = {"max_epochs": 1, "patience": 1}
    sides: dict[str, dict[str, Any]] = {"fine_tuned": {}, "head_alone": head}
    rounds = [
        {name: trained(params, inputs, work, seed=seed, **changes) for name, changes in sides.items()}
        for seed in range(1, options.seeds + 1)
    ]
    scratch = trained(
        params, inputs, work, pretrained=False, thawed_parts=len(backbone(params).parts),
        learning_rate=options.scratch_rate, max_epochs=options.scratch_epochs, patience=options.scratch_epochs,
    )  # fmt: skip
    means = {name: statistics.mean(each[name]["test"] for each in rounds) for name in sides}
    write_json(
        options.out,
        {
            "unit": "share of test photographs put into the right category",
            "mean_accuracy": {**means, "from_scratch": scratch["test"]},
            "rounds": [{"seed": number, **each} for number, each in enumerate(rounds, start=1)],
            "from_scratch": {**scratch, "epochs": options.scratch_epochs, "learning_rate": options.scratch_rate},
            "head_alone_by_labelled": by_labelled(params, inputs, work, head),
            "labelled": params.labelled,
            "categories": len(categories(inputs.prepared)),
            "test_photographs": len(photographs(inputs.prepared, "audit", 32).labels),
            "machine": {"processor": processor(), "torch": torch.__version__},
        },
    )
    log.info("mean: %s; wrote %s", ", ".join(f"{name} {100 * mean:.1f} %" for name, mean in means.items()), options.out)


if __name__ == "__main__":
    main()
