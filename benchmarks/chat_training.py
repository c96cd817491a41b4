"""What a tuned chat model gained, against the course's recipe: `python -m benchmarks.chat_training`.

Both recipes train in turn through the step train's own loop on the same prepared data, are exported, and read the same
held-out answers in the style: bits per byte, as `evaluate` measures them, beside those of the base. The course's is its
notebook's: Lion at 1e-4, rank 8, one answer a step, 200 steps, styled answers alone; here the learning rate falls to
zero at the end as it does for ours. --bundle measures a bundle in place of training ours once more.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from benchmarks.driving import UNKNOWN
from benchmarks.generation import processor
from components.bundle import Bundle, write_bundle
from components.datasets.styles.reader import PLAIN, read_conversations
from components.files import write_json
from components.labs import Inputs, find
from components.labs.chat.evaluation.likelihood import of_answers, total
from components.labs.chat.params import Params, Train
from components.labs.chat.runtime.model import ChatModel
from components.params import load
from components.training.trainer import fit

ROOT = Path(__file__).resolve().parent.parent
COURSE: dict[str, Any] = {
    "optimizer": "lion",
    "learning_rate": 1e-4,
    "batch_size": 1,
    "steps": 200,
    "max_epochs": 1,
    "rank": 8,
    "mix": {"yoda": 1.0, "leprechaun": 0.0, "plain": 0.0},
}
AS_TRAINED = {"adapter_scale": 1.0, "question_scale": 1.0}
"""The course's adapter counts as much in its answers as in its training."""


def trained(params: Params, train: Train, inputs: Inputs, folder: Path) -> tuple[Bundle, dict[str, float]]:
    """The exported bundle of a training, and the seconds that it took."""
    lab: Any = find("chat")
    started, used = time.monotonic(), time.process_time()
    finished = fit(lab, train, inputs, folder / "train")
    took = {"seconds": time.monotonic() - started, "processor_seconds": time.process_time() - used}
    module = lab.module(inputs, train)
    module.load_state_dict(torch.load(folder / "train" / finished.best, weights_only=True)["state_dict"])
    out = folder / "export"
    out.mkdir()
    write_bundle(out, lab.name, lab.export(module, inputs, out, params.export), UNKNOWN)
    return Bundle.open(out), took


def measured(bundle: Bundle, prepared: Path, style: str, most: int) -> dict[str, float]:
    """Bits per byte of test answers, and the nats that a plain token costs more than with the base."""
    test, model = read_conversations(prepared, "test"), ChatModel.load(bundle)
    styled, base = (total(of_answers(model, test, style, adapter, most)) for adapter in (style, None))
    plain, plain_base = (total(of_answers(model, test, PLAIN, adapter, most)) for adapter in (style, None))
    return {
        "bits_per_byte": styled.bits_per_byte,
        "base_bits_per_byte": base.bits_per_byte,
        "plain_loss": plain.nats_per_token - plain_base.nats_per_token,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--prepared", type=Path, default=ROOT / "build" / "styles" / "prepare")
    parser.add_argument("--base", type=Path, default=ROOT / "data" / "smollm2")
    parser.add_argument("--bundle", type=Path, help="ours, where it is trained already")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "chat_training.json")
    options = parser.parse_args()
    params: Any = load(find("chat"), ROOT / "params.yaml")
    inputs = Inputs(options.prepared, {"smollm2": options.base})
    style, most = params.evaluate.style, params.evaluate.likelihood
    result: dict[str, Any] = {"style": style, "machine": {"processor": processor()}}
    with TemporaryDirectory() as name:
        for side, update in (("course", COURSE), ("ours", {})):
            if side == "ours" and options.bundle:
                bundle, took = Bundle.open(options.bundle), dict[str, float]()
            else:
                folder = Path(name) / side
                folder.mkdir()
                exported = params.export.model_copy(update=AS_TRAINED if side == "course" else {})
                recipe = params.train.model_copy(update=update)
                bundle, took = trained(params.model_copy(update={"export": exported}), recipe, inputs, folder)
            result[side] = {**measured(bundle, options.prepared, style, most), **took}
            print(side, json.dumps(result[side]), flush=True)
    result["ratio"] = result["ours"]["bits_per_byte"] / result["course"]["bits_per_byte"]
    write_json(options.out, result)
    print(f"bits per byte of ours are {result['ratio']:.3f} times the course's")


if __name__ == "__main__":
    main()
