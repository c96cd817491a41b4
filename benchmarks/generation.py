"""How fast tunes are written, against the notebook's loop in the same run: `python -m benchmarks.generation`.

One core. Both sides are timed in turns, in seconds of processor time, so that other work on the machine changes
neither; the medians of the turns are compared. Needs no trained model: without build/music/export it exports an
untrained one of the default parameters, which is as fast.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import onnxruntime
import torch
from torch import nn

from components.bundle import Bundle, write_bundle
from components.datasets import find_dataset
from components.datasets.music.reader import read_texts
from components.files import write_json
from components.labs import Inputs, find
from components.labs.music.evaluation.likelihood import bits_of, bits_per_char
from components.labs.music.runtime.model import TuneModel
from components.labs.music.runtime.request import TuneRequest
from components.labs.music.runtime.sampler import generate
from components.params import load, load_dataset
from components.provenance import provenance

ROOT = Path(__file__).resolve().parent.parent
TARGETS = {"one": 20.0, "thirty_two": 150.0}
"""How many times the notebook's characters per second."""


class NotebookModel(nn.Module):
    """The course's lab 1B as published (introtodeeplearning at e44754e): embedding 256, one LSTM of 1024."""

    def __init__(self, characters: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(characters, 256)
        self.lstm = nn.LSTM(256, 1024, batch_first=True)
        self.fc = nn.Linear(1024, characters)

    def forward(
        self, ids: torch.Tensor, state: tuple[torch.Tensor, torch.Tensor]
    ) -> tuple[torch.Tensor, tuple[torch.Tensor, torch.Tensor]]:
        out, state = self.lstm(self.embedding(ids), state)
        return self.fc(out), state


def write_as_the_notebook(model: NotebookModel, characters: int) -> int:
    """The notebook's `generate_text`, its progress bar left out: one character at a time, gradients recorded."""
    ids = torch.tensor([[0]])
    state = (torch.zeros(1, 1, 1024), torch.zeros(1, 1, 1024))
    text = []
    for _ in range(characters):
        predictions, state = model(ids, state)
        ids = torch.multinomial(torch.softmax(predictions.squeeze(0), dim=-1), num_samples=1)
        text.append(ids.item())
    return len(text)


def write_tunes(model: TuneModel, tunes: int, together: int, first_seed: int) -> int:
    """Whole tunes of up to 500 characters; returns the characters that are in them, not those thrown away."""
    start = "X:1\n"
    requests = [TuneRequest(seed=first_seed + index, forced={0: start}, max_length=500) for index in range(tunes)]
    return sum(len(sample.text) - len(start) for sample in generate(model, requests, batch=together))


def rate(work: Callable[[], int]) -> float:
    """Characters per second of processor time."""
    started = time.process_time()
    characters = work()
    return characters / (time.process_time() - started)


def measure(bundle: Bundle, rounds: int) -> dict[str, Any]:
    torch.set_num_threads(1)
    model = TuneModel.load(bundle)
    notebook = NotebookModel(len(model.vocabulary)).eval()
    rates: dict[str, list[float]] = {"notebook": [], "one": [], "thirty_two": []}
    for turn in range(-1, rounds):
        done = {
            "notebook": rate(partial(write_as_the_notebook, notebook, 200)),
            "one": rate(partial(write_tunes, model, 8, 1, 1000 * turn + 1000)),
            "thirty_two": rate(partial(write_tunes, model, 96, 32, 1000 * turn + 1000)),
        }
        if turn >= 0:  # the turn before warms up
            for name, value in done.items():
                rates[name].append(value)
    medians = {name: statistics.median(values) for name, values in rates.items()}
    return {
        "unit": "characters per second of processor time, one thread",
        "characters_per_second": medians,
        "rounds": rates,
        "ratio": {name: medians[name] / medians["notebook"] for name in TARGETS},
        "target_ratio": TARGETS,
    }


def quantisation_cost(bundle: Bundle, prepared: Path) -> dict[str, float]:
    """Bits per character of each variant on the validation tunes."""
    texts = read_texts(prepared, "validation")
    return {name: bits_per_char(bits_of(TuneModel.load(bundle, name), texts, 32)) for name in bundle.spec["variants"]}


def untrained_bundle(prepared: Path, folder: Path) -> Bundle:
    """A bundle of the default parameters with the weights a model starts from."""
    lab = find("music")
    params = load(lab, ROOT / "params.yaml")
    dataset = load_dataset(find_dataset(lab.dataset), ROOT / "params.yaml")
    inputs = Inputs(prepared)
    spec = lab.export(lab.module(inputs, params.train), inputs, folder, params.export)
    write_bundle(folder, lab.name, spec, provenance(lab, params, dataset, ROOT))
    return Bundle.open(folder)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", type=Path, default=ROOT / "build" / "music", help="what the steps wrote")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "generation.json")
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    prepared, exported = options.build / "prepare", options.build / "export"
    with tempfile.TemporaryDirectory() as scratch:
        trained = exported.exists()
        bundle = Bundle.open(exported) if trained else untrained_bundle(prepared, Path(scratch))
        result = measure(bundle, options.rounds)
        result["model"] = {
            "trained": trained,
            "digest": bundle.digest,
            "layers": bundle.spec["layers"],
            "hidden_size": bundle.spec["hidden_size"],
            "steps_per_call": bundle.spec["steps_per_call"],
            "variant": TuneModel.load(bundle).variant,
            "bits_per_char_validation": quantisation_cost(bundle, prepared) if trained else None,
        }
    result["machine"] = {
        "processor": processor(),
        "torch": torch.__version__,
        "onnxruntime": onnxruntime.__version__,
        "python": platform.python_version(),
    }
    write_json(options.out, result)
    for name, value in result["ratio"].items():
        print(f"{name}: {value:.0f} times the notebook's loop (target {TARGETS[name]:.0f})")


def processor() -> str:
    """The processor's name and the instructions that decide the speed here."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    facts = dict(line.split("\t", 1) for line in lines if "\t" in line)
    flags = facts.get("flags", "").split()
    known = [
        flag for flag in ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_int8", "amx_bf16") if flag in flags
    ]
    return " ".join([facts.get("model name", platform.processor()).strip(" :\t"), *known])


if __name__ == "__main__":
    main()
