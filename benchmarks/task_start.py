"""The tasks of a lab's pipeline, each as Kubeflow's launcher starts it: `python -m benchmarks.task_start`.

The launcher runs the command of the compiled pipeline in a new process: `sh`, then `python -m kfp.dsl.executor_main`
with the component's source. Here Kubeflow's local runner runs the pipeline once in a copy of the project; what it
starts for each task is written down, and started again, alone, in turns with the same task of another commit
(`--before`). MLflow is a server, as on a cluster, and each task uploads its own run. Every process has one thread.

Seconds are those until the process has ended; processor seconds are those of the process and its children. A machine
that does other work lengthens the first and hardly the second.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import platform
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.generation import processor
from components.files import write_json

ROOT = Path(__file__).resolve().parent.parent
LAST_BEFORE = "e3846fb"
"""The last commit whose tasks imported all that they might need."""
COUNTED = ("validate", "export", "evaluate")
"""The tasks whose sum was to be halved."""
SERVER_SECONDS = 120
RECORDER = """
import json, os, runpy, sys

def watch(event, arguments):
    if event == "subprocess.Popen" and any("kfp.dsl.executor_main" in str(word) for word in arguments[1]):
        with open(os.environ["RECORD"], "a") as file:
            file.write(json.dumps([list(map(str, arguments[1])), dict(arguments[3] or os.environ)]) + "\\n")

sys.addaudithook(watch)
runpy.run_module("pipelines", run_name="__main__")
"""
"""Runs a pipeline on this machine and writes down every command that Kubeflow starts, with its variables."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Times:
    """Time of one process with its children, in seconds."""

    wall: float
    processor: float


@dataclass(frozen=True)
class Side:
    """A commit of the project, in a folder. commands: of its tasks, by their names, with their variables."""

    commit: str
    folder: Path
    commands: dict[str, tuple[list[str], dict[str, str]]]
    times: dict[str, list[Times]] = field(default_factory=dict)

    def median(self, names: tuple[str, ...], of: str) -> float:
        """The sum over tasks of the median over rounds. of: wall or processor."""
        return float(sum(statistics.median(getattr(one, of) for one in self.times[name]) for name in names))


def checked_out(commit: str, folder: Path) -> None:
    """A copy of a commit with the data; "" takes the files as they are."""
    folder.mkdir()
    if commit:
        archive = subprocess.run(["git", "archive", commit], cwd=ROOT, capture_output=True, check=True).stdout
        subprocess.run(["tar", "-x", "-C", str(folder)], input=archive, check=True)
    else:
        listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
        for name in listed.splitlines():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    shutil.copytree(ROOT / "data", folder / "data", dirs_exist_ok=True)


def recorded(commit: str, lab: str, assignments: list[str], folder: Path) -> Side:
    """Runs the pipeline of a lab once, so that every task has its inputs, and notes what started the tasks."""
    checked_out(commit, folder)
    record = folder.with_name(f"{folder.name}.commands")
    chosen = [word for value in assignments for word in ("-S", value)]
    environment = {**os.environ, "PYTHONPATH": str(folder), "OMP_NUM_THREADS": "1", "RECORD": str(record)}
    done = subprocess.run(
        [sys.executable, "-c", RECORDER, "run", lab, *chosen],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise SystemExit(f"{commit or 'the work tree'} did not run: {done.stdout[-2000:]}{done.stderr[-2000:]}")
    lines = [json.loads(line) for line in record.read_text().splitlines()]
    commands = {words[words.index("--function_to_execute") + 1]: (words, variables) for words, variables in lines}
    return Side(commit, folder, commands)


@contextmanager
def tracking_server(folder: Path) -> Iterator[str]:
    """An MLflow server with a database of its own, on a free port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    database = f"sqlite:///{folder / 'mlflow.db'}"
    command = [sys.executable, "-m", "mlflow", "server", "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", database, "--artifacts-destination", str(folder / "artifacts")]
    variables = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
    output = (folder / "server.log").open("wb")
    server = subprocess.Popen(command, env=variables, stdout=output, stderr=output, start_new_session=True)
    address = f"http://127.0.0.1:{port}"
    try:
        for _ in range(SERVER_SECONDS):
            try:
                urllib.request.urlopen(f"{address}/health", timeout=5).close()  # noqa: S310 - this machine
                break
            except OSError:
                time.sleep(1)
        else:
            raise SystemExit(f"MLflow did not start: {(folder / 'server.log').read_text()[-2000:]}")
        yield address
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait()
        output.close()


def timed(side: Side, task: str, tracking: str) -> Times:
    """Starts a task's command once more and waits for its end."""
    words, variables = side.commands[task]
    environment = {**variables, "MLFLOW_TRACKING_URI": tracking, "PYTHONPATH": str(side.folder)}
    environment.pop("JOURNALS", None)  # on a cluster no folder of journals outlives a task
    with (side.folder.parent / "tasks.log").open("ab") as output:
        begun = time.perf_counter()
        process = subprocess.Popen(words, cwd=side.folder, env=environment, stdout=output, stderr=output)
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        seconds = time.perf_counter() - begun
    if process.returncode != 0:
        raise SystemExit(f"{task} of {side.commit or 'the work tree'} failed: see {output.name}")
    return Times(seconds, used.ru_utime + used.ru_stime)


def measured(sides: dict[str, Side], tasks: list[str], rounds: int, tracking: str) -> None:
    """Each task of each side, in turns; the first round is a warm-up of the page cache and the database."""
    for number in range(rounds + 1):
        for task in tasks:
            for name, side in sides.items():
                times = timed(side, task, tracking)
                log.info("%d %s %s: %.1f s, processor %.1f s", number, task, name, times.wall, times.processor)
                if number > 0:
                    side.times.setdefault(task, []).append(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--lab", default="mlp")
    parser.add_argument("--before", default=LAST_BEFORE, help="the commit to compare with")
    parser.add_argument("--tasks", nargs="*", help="by default every task that the pipeline runs")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--set", "-S", action="append", default=[], help="as of python -m pipelines run")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "task_start.json")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    with tempfile.TemporaryDirectory(prefix="task-start-") as temporary, tracking_server(Path(temporary)) as tracking:
        folders = {"before": options.before, "after": ""}
        assignments = [f"{options.lab}.train.max_epochs=1", *options.set]
        sides = {
            name: recorded(commit, options.lab, assignments, Path(temporary) / name) for name, commit in folders.items()
        }
        tasks = options.tasks or [name for name in sides["before"].commands if name in sides["after"].commands]
        measured(sides, tasks, options.rounds, tracking)
    result = summary(sides, tuple(tasks))
    write_json(options.out, {"lab": options.lab, "rounds": options.rounds, **result})
    for line in table(result):
        log.info("%s", line)


def summary(sides: dict[str, Side], tasks: tuple[str, ...]) -> dict[str, Any]:
    groups: dict[str, tuple[str, ...]] = {task: (task,) for task in tasks}
    groups[" + ".join(COUNTED)] = tuple(task for task in COUNTED if task in tasks)
    groups["all tasks"] = tasks
    found = {
        group: {f"{name}_{of}": side.median(names, of) for name, side in sides.items() for of in ("wall", "processor")}
        for group, names in groups.items()
    }
    for values in found.values():
        values["ratio_wall"] = values["after_wall"] / values["before_wall"] if values["before_wall"] else 0.0
        values["ratio_processor"] = (
            values["after_processor"] / values["before_processor"] if values["before_processor"] else 0.0
        )
    machine = {"processor": processor(), "cores": os.cpu_count(), "python": platform.python_version()}
    return {"unit": "seconds, median", "before": sides["before"].commit, "tasks": found, "machine": machine}


def table(result: dict[str, Any]) -> Iterator[str]:
    yield f"{'task':32} {'before':>7} {'after':>7} {'ratio':>6}   processor: before, after, ratio"
    for name, values in result["tasks"].items():
        walls = f"{values['before_wall']:7.1f} {values['after_wall']:7.1f} {values['ratio_wall']:6.2f}"
        used = f"{values['before_processor']:7.1f} {values['after_processor']:7.1f} {values['ratio_processor']:6.2f}"
        yield f"{name:32} {walls}   {used}"


if __name__ == "__main__":
    main()
