"""A run of many inputs: workers that die are started again after the input that killed them, and faults are kept."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from components.settings import project_root
from tests.fuzz.worker import TARGETS

SILENT_SECONDS = 900
"""A worker that says nothing for so long is killed: it waits for something, without using the processor."""


@dataclass
class Campaign:
    """What became of the inputs of a target."""

    outcomes: Counter[str] = field(default_factory=Counter)
    """answered, refused, failed."""
    faults: list[str] = field(default_factory=list)
    """The first line says which file holds the input, the rest what was wrong."""


def run(target: str, folder: Path, seed: int, count: int, kept: Path) -> Campaign:
    """Feeds inputs 0 to count - 1 of a seed. kept: a folder for inputs that were neither answered nor refused."""
    campaign, made = Campaign(), TARGETS[target](folder)
    kept.mkdir(parents=True, exist_ok=True)
    done = 0
    while done < count:
        for found in worked(target, folder, str(seed), str(done), str(count)):
            campaign.outcomes[found["outcome"]] += 1
            if found["outcome"] == "failed":
                path = kept / f"{target.replace(' ', '_')}-{seed}-{done}"
                path.write_bytes(made.input(seed, done))
                campaign.faults.append(f"{path}\n{found['fault'].strip()}")
            done += 1
    return campaign


def worked(target: str, folder: Path, *inputs: str) -> list[dict[str, str]]:
    """What a worker reports of its inputs, until it ends. The input that ends it has failed, too."""
    command = [sys.executable, "-m", "tests.fuzz.worker", target, str(folder), *inputs]
    log = folder / "worker.log"
    with log.open("w") as errors:
        process = subprocess.Popen(command, cwd=project_root(), stdout=subprocess.PIPE, stderr=errors)
    found = [json.loads(line) for line in _lines(process)]
    process.wait()
    if process.returncode != 0:
        last = log.read_text()[-3000:]
        if process.returncode == 1:  # no input does that: they are judged inside
            raise RuntimeError(f"the target {target} can't be used:\n{last}")
        found.append({"outcome": "failed", "fault": f"the process ended with {process.returncode}: {last}"})
    return found


def _lines(process: subprocess.Popen[bytes]) -> list[bytes]:
    """What a process writes until it ends, or is killed because it has not written anything for too long."""
    assert process.stdout
    written = b""
    while True:
        if not select.select([process.stdout], [], [], SILENT_SECONDS)[0]:
            process.kill()
        piece = os.read(process.stdout.fileno(), 65536)
        if not piece:
            return written.splitlines()
        written += piece
