"""Trainings of two labs, one after another and side by side: `python -m benchmarks.side_by_side`.

The same share of the epochs of each lab (`--share`), by `python -m components train` in a copy of the project, with the
prepared data of `--build`: one after another, each with a thread for every core; and at the same time, each with its
share of the cores, as `make repro` trains them. The two ways take turns. Seconds are those until the last process has
ended, start of Python included; processor seconds, which other work on the machine hardly lengthens, are of a process.
"""

from __future__ import annotations

import argparse
import logging
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from benchmarks.generation import processor
from benchmarks.task_start import checked_out
from components.files import write_json
from components.labs import LABS, find

ROOT = Path(__file__).resolve().parent.parent
AFTER, BESIDE = "one after another", "side by side"

log = logging.getLogger(__name__)


def shortened(labs: Sequence[str], share: float, folder: Path) -> dict[str, int]:
    """Leaves `share` of each lab's epochs in the copy's params.yaml; the epochs that are left."""
    path = folder / "params.yaml"
    params = yaml.safe_load(path.read_text(encoding="utf-8"))
    for lab in labs:
        params[lab]["train"]["max_epochs"] = max(1, round(share * params[lab]["train"]["max_epochs"]))
    path.write_text(yaml.safe_dump(params, sort_keys=False), encoding="utf-8")
    return {lab: params[lab]["train"]["max_epochs"] for lab in labs}


def started(lab: str, threads: int, folder: Path, build: Path) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "PYTHONPATH": str(folder), "OMP_NUM_THREADS": str(threads)}
    command = [sys.executable, "-m", "components", "train", lab, "--build", str(build)]
    with (folder / "trainings.log").open("ab") as output:
        return subprocess.Popen(command, cwd=folder, env=environment, stdout=output, stderr=output)


def together(labs: Sequence[str], threads: int, folder: Path, build: Path) -> dict[str, dict[str, float]]:
    """Trains these labs at the same time. Of each: seconds to its end, of the processor, and most memory in MiB."""
    began = time.perf_counter()
    running = {process.pid: (lab, process) for lab in labs for process in [started(lab, threads, folder, build)]}
    found: dict[str, dict[str, float]] = {}
    while running:
        pid, status, used = os.wait4(-1, 0)
        lab, process = running.pop(pid)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise SystemExit(f"the training of {lab} failed: {(folder / 'trainings.log').read_text()[-2000:]}")
        found[lab] = {
            "seconds": time.perf_counter() - began,
            "processor_seconds": used.ru_utime + used.ru_stime,
            "mebibytes": used.ru_maxrss / 1024,
        }
    return found


def measured(way: str, labs: Sequence[str], folder: Path, prepared: Path) -> dict[str, Any]:
    """One round of a way, from nothing but the prepared data."""
    cores = len(os.sched_getaffinity(0))
    threads = max(1, cores // len(labs)) if way == BESIDE else cores
    with tempfile.TemporaryDirectory(dir=folder) as temporary:
        build = Path(temporary)
        for dataset in {find(lab).dataset for lab in labs}:
            (build / dataset).mkdir()
            for step in ("prepare", "validate"):
                (build / dataset / step).symlink_to((prepared / dataset / step).resolve())
        began = time.perf_counter()
        found: dict[str, Any] = {}
        for group in [labs] if way == BESIDE else [[lab] for lab in labs]:
            found |= together(group, threads, folder, build)
        return {**found, "all": {"seconds": time.perf_counter() - began}}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("labs", nargs="*", default=["music", "faces"], help=f"of {', '.join(LABS)}")
    parser.add_argument("--build", type=Path, default=ROOT / "build", help="folder with the prepared datasets")
    parser.add_argument("--share", type=float, default=0.14, help="of each lab's epochs")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "side_by_side.json")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    ways: dict[str, list[dict[str, Any]]] = {AFTER: [], BESIDE: []}
    with tempfile.TemporaryDirectory(prefix="side-by-side-") as temporary:
        folder = Path(temporary) / "project"
        checked_out("", folder)
        epochs = shortened(options.labs, options.share, folder)
        for number in range(options.rounds):
            for way, found in ways.items():
                found.append(measured(way, options.labs, folder, options.build))
                log.info("%d %s: %s", number, way, found[-1])
    seconds = {way: statistics.mean(one["all"]["seconds"] for one in found) for way, found in ways.items()}
    result = {
        "epochs": epochs,
        "rounds": ways,
        "seconds": seconds,
        "side_by_side_is_shorter_by": 1 - seconds[BESIDE] / seconds[AFTER],
        "machine": {"processor": processor(), "cores": os.cpu_count()},
    }
    write_json(options.out, result)
    log.info("%s, shorter by %.0f %%", seconds, 100 * result["side_by_side_is_shorter_by"])


if __name__ == "__main__":
    main()
