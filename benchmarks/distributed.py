"""Training with one process and with two, the same batches: `python -m benchmarks.distributed`.

Each side is the step train as its command line runs it (torchrun, Lightning DDP over gloo), one thread a process, on
the digits lab's prepared data, in turns. An epoch's time is what the step logs; the first epoch is a warm-up. On a
machine that does other work, the ratio of wall-clock times says little (`load`: the average when the turn began), but
that of processor time, of what the epochs after the first add in all processes, says what working together costs.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import platform
import re
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch
import yaml

from benchmarks.generation import processor
from components.config import read
from components.datasets.digits.reader import read_split
from components.files import write_json
from components.sources.catalogue import raw_folder
from components.sources.pin import PIN

ROOT = Path(__file__).resolve().parent.parent
EPOCH = re.compile(r"epoch (\d+) of \d+: .* \((\d+\.\d) s\)")

log = logging.getLogger(__name__)


def turn(prepared: Path, processes: int, epochs: int, batch_size: int) -> dict[str, Any]:
    """Trains once. Returns seconds of every epoch, and what validation said after the best."""
    load, before = os.getloadavg()[0], children_seconds()
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        params = read(ROOT / "params.yaml")
        own = {"max_epochs": epochs, "patience": epochs, "batch_size": batch_size, "precision": "32-true"}
        params["digits"]["train"] |= own
        (root / "params.yaml").write_text(yaml.safe_dump(params))
        folder = raw_folder("digits", params["datasets"]["digits"]["profile"])
        (root / PIN).write_text(f"outs: [{{md5: benchmark.dir, path: {folder}}}]\n")
        (root / "build" / "digits").mkdir(parents=True)
        (root / "build" / "digits" / "prepare").symlink_to(prepared.absolute())
        run = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
        done = subprocess.run(
            [sys.executable, *(run if processes > 1 else []), "-m", "components", "train", "digits"],
            cwd=root,
            env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore"},
            capture_output=True,
            text=True,
            check=True,
        )
        training = json.loads((root / "build/digits/train/training.json").read_text())
    seconds = [float(found[2]) for found in EPOCH.finditer(done.stderr)]
    used = children_seconds() - before
    return {"seconds": seconds, "processor": used, "val_error": training["metrics"]["val_error"], "load": load}


def children_seconds() -> float:
    """Processor time of all processes that were started from here and have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--prepared", type=Path, default=ROOT / "build" / "digits" / "prepare")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "distributed.json")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--batch-size", type=int, default=128, help="of all processes together")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    pictures = len(read_split(options.prepared, "train").labels)
    turns: dict[int, list[dict[str, Any]]] = {1: [], 2: []}
    for _ in range(options.rounds):
        for processes, found in turns.items():
            found.append(turn(options.prepared, processes, options.epochs, options.batch_size))
            short = turn(options.prepared, processes, 1, options.batch_size)["processor"]
            found[-1]["processor_per_epoch"] = (found[-1]["processor"] - short) / (options.epochs - 1)
            log.info("%d: %s", processes, found[-1])
    rates = {
        processes: pictures / statistics.median(seconds for run in found for seconds in run["seconds"][1:])
        for processes, found in turns.items()
    }
    per_processor = {
        processes: pictures / statistics.median(run["processor_per_epoch"] for run in found)
        for processes, found in turns.items()
    }
    write_json(
        options.out,
        {
            "unit": "training images per second of wall-clock time, one thread a process",
            "images": pictures,
            "batch_size": options.batch_size,
            "images_per_second": {str(processes): rate for processes, rate in rates.items()},
            "images_per_processor_second": {str(processes): rate for processes, rate in per_processor.items()},
            "ratio": rates[2] / rates[1],
            "ratio_of_processor_time": per_processor[2] / per_processor[1],
            "rounds": {str(processes): found for processes, found in turns.items()},
            "machine": {"processor": processor(), "cores": os.cpu_count(), "python": platform.python_version()}
            | {"torch": torch.__version__},
        },
    )
    log.info("1: %.0f images/s, 2: %.0f images/s, %.2f times", rates[1], rates[2], rates[2] / rates[1])
    log.info("by processor time: %.2f times", per_processor[2] / per_processor[1])


if __name__ == "__main__":
    main()
