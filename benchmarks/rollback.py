"""Seconds from the decision to go back until the model before answers: `python -m benchmarks.rollback music`.

A drill with this project's registry and a real server. The lab needs two promoted versions of different models. `python
-m components rollback` makes the one before the champion; the server, which reads the champion once, is stopped (it
drains) and started again; the clock stops when `/info` names the other model. A second drill goes forward again.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from benchmarks.generation import processor
from components.errors import UserError
from components.files import write_json
from components.labs import LABS
from components.tracking.mlflow_client import connect
from components.tracking.registry import champion_version

ROOT = Path(__file__).resolve().parent.parent
PATIENCE = 600


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("lab", choices=LABS)
    parser.add_argument("--port", type=int, default=3999)
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "rollback.json")
    options = parser.parse_args()
    now, before = two_versions(options.lab)
    drills = {}
    for name, (version, digest) in {"back": before, "forward": now}.items():
        with served(options.lab, options.port):
            wait_for(options.port, other_than(digest))
            began = time.perf_counter()
            subprocess.run([sys.executable, "-m", "components", "rollback", options.lab, version], check=True)
            moved = time.perf_counter()
        with served(options.lab, options.port):
            wait_for(options.port, digest.__eq__)
            answered = time.perf_counter()
        drills[name] = {"to the alias": round(moved - began, 1), "to the answer": round(answered - began, 1)}
        print(f"{name}: {drills[name]}", flush=True)
    write_json(options.out, {"processor": processor(), "lab": options.lab, "seconds": drills})


def two_versions(lab: str) -> tuple[tuple[str, str], tuple[str, str]]:
    """Number and model's digest of the champion, and of the newest version before it of another model.

    Raises UserError where there are none.
    """
    mlflow = connect()
    champion = champion_version(mlflow, lab)
    if champion is None:
        raise UserError(f"{lab} has no champion: run `make repro LAB={lab}`")
    digest = champion.tags["model_digest"]
    others = [each for each in mlflow.search_model_versions(f"name = '{lab}'") if each.tags["model_digest"] != digest]
    if not others:
        raise UserError(f"{lab} was promoted once: train it with another seed, and promote it, for a drill")
    before = max(others, key=lambda each: int(each.version))
    return (str(champion.version), digest), (str(before.version), before.tags["model_digest"])


@contextmanager
def served(lab: str, port: int) -> Iterator[None]:
    """A server of the lab's champion, which may not be ready yet; at the end it has drained and is gone."""
    command = [sys.executable, "-m", "serving", lab, "--port", str(port)]
    server = subprocess.Popen(command, env=os.environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        server.terminate()
        server.wait(PATIENCE)


def other_than(digest: str) -> Callable[[str], bool]:
    return lambda found: found not in ("", digest)


def wait_for(port: int, is_wanted: Callable[[str], bool]) -> None:
    """Asks every tenth of a second which model answers ("" for none) until it is the wanted one."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        digest = ""
        with suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/info", timeout=5) as answer:
            digest = json.load(answer)["model"]["model_digest"]
        if is_wanted(digest):
            return
        time.sleep(0.1)
    raise UserError(f"the model was not served within {PATIENCE} seconds")


if __name__ == "__main__":
    main()
