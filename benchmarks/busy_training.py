"""What a busy machine costs a training: `python -m benchmarks.busy_training`.

A part of an epoch of digits, trained on every core, alone and beside a process that keeps one core busy; each with
threads that spin while they wait for each other, which OpenMP does by default, and with threads that sleep, as
`python -m components` asks for. Every measurement is a process of its own: OpenMP reads its settings once.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.generation import processor
from components.files import write_json

ROOT = Path(__file__).resolve().parent.parent
POLICIES = {"spinning": None, "sleeping": "passive"}


@contextmanager
def busy_core() -> Iterator[None]:
    """Keeps one core busy, wherever the system puts it."""
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as process:
        try:
            yield
        finally:
            process.kill()


def rate(prepared: Path, steps: int, policy: str | None) -> float:
    """Images per second of the training, in a process of its own."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("OMP_", "MKL_"))}
    environment |= {"OMP_WAIT_POLICY": policy} if policy else {}
    command = [sys.executable, "-m", "benchmarks.busy_training", "--measure", "--prepared", str(prepared)]
    done = subprocess.run(
        [*command, "--steps", str(steps)], cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True, check=True
    )
    return float(done.stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--prepared", type=Path, default=ROOT / "build" / "digits" / "prepare")
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--rounds", type=int, default=3, help="the median is taken")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "busy_training.json")
    parser.add_argument("--measure", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        from benchmarks.digits import digits_params, our_rate
        from components.labs.digits.model import DigitsModel, network

        params = digits_params()
        print(our_rate(DigitsModel(network(params), params), params, options.prepared, options.steps))
        return
    rates: dict[str, list[float]] = {f"{policy}, {beside}": [] for beside in ("alone", "busy") for policy in POLICIES}
    for _ in range(options.rounds):
        for policy, value in POLICIES.items():
            rates[f"{policy}, alone"].append(rate(options.prepared, options.steps, value))
            with busy_core():
                rates[f"{policy}, busy"].append(rate(options.prepared, options.steps, value))
    medians = {name: sorted(found)[len(found) // 2] for name, found in rates.items()}
    result: dict[str, Any] = {
        "images_per_second": medians,
        "sleeping_against_spinning": {
            beside: medians[f"sleeping, {beside}"] / medians[f"spinning, {beside}"] for beside in ("alone", "busy")
        },
        "machine": {"processor": processor(), "cores": os.cpu_count()},
    }
    write_json(options.out, result)
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
