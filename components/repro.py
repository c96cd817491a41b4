"""`dvc repro` as one recorded run: the pins checked before, the stages' runs below one parent."""

import logging
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import yaml

from components import params as parameters
from components.datasets import find_dataset
from components.labs import with_reference_models
from components.plan import VERSIONS, Group, Plan, plan
from components.remote import configured
from components.settings import path_with_this_python, settings
from components.side_by_side import SideBySide, cores, fitting
from components.sources.pin import check_pin
from components.steps import weights_of
from components.tracking.runs import repro as recorded

log = logging.getLogger(__name__)

ALL = "all"
SHOWN = ("music", "faces")
"""Labs that are made where none is named: those that the APIs are known for."""


def repro(names: tuple[str, ...]) -> int:
    """Runs the graph of these labs (SHOWN when empty, every lab for ALL), each up to its promotion.

    Labs that share no stage are made side by side where there are cores and memory for them, others one after another.
    Says first what has changed, and returns DVC's exit code, the largest of several. Where there is a DVC remote, an
    output that is missing and otherwise as dvc.lock has it is taken from there, if it is there.
    Raises UserError for an unknown lab, wrong parameters, missing weights, data that is not what its pin says, or an
    MLflow that can't be reached; nothing has run then.
    """
    path = Path("params.yaml")
    free_memory = parameters.load_repro(path).free_memory
    wanted = _in_order_of_value() if ALL in names else names or SHOWN
    labs = {name: lab for each in wanted for name, lab in with_reference_models(each).items()}
    for lab in labs.values():
        parameters.load(lab, path)
        weights_of(lab)
    datasets = tuple(dict.fromkeys(lab.dataset for lab in labs.values()))
    for name in datasets:
        check_pin(Path(), name, parameters.load_dataset(find_dataset(name), path).profile)
    remote = configured()
    planned = plan(wanted, path, Path("build"), remote)
    # Of all labs, changed or not: a training that was killed goes on with as many threads, and ends with equal weights.
    at_once = fitting(len(planned.groups), free_memory)
    threads = settings().omp_num_threads or str(cores() // at_once)
    for line in planned.lines:
        log.info("plan: %s", line)
    if at_once > 1:
        each = "; ".join(map(_name, planned.groups))
        log.info("plan: side by side, %d at a time, with OMP_NUM_THREADS=%s: %s", at_once, threads, each)
    try:
        with recorded(tuple(labs), datasets) as run:
            # The stages run `python`: the one that runs this, also where its environment is not activated.
            variables = [f"REPRO_RUN={run.id}", f"PATH={path_with_this_python()}"]
            variables += [f"OMP_NUM_THREADS={threads}"] if at_once > 1 else []
            code = _made(["env", *variables, sys.executable, "-m", "dvc"], wanted, planned, at_once)
    except KeyboardInterrupt:
        log.warning("stopped; the same command goes on where it was, a training from its last epoch")
        return 130
    if not code:
        log.info("done: `python -m serving` serves every promoted model, with a front page on http://127.0.0.1:3000")
    return code


def _made(dvc: list[str], wanted: Sequence[str], planned: Plan, at_once: int) -> int:
    """Runs the graph by this command; its exit code, the largest of several."""
    flags = ["--pull"] if planned.pulls else []  # it asks the remote each time
    if at_once == 1:
        return _run([*dvc, "repro", *flags, *(f"promote@{name}" for name in wanted)])
    single = [*dvc, "--wait-for-lock", "repro", "--single-item"]  # so that VERSIONS runs once, and not in each group
    if code := _run([*single, VERSIONS]):
        return code
    commands = {_name(group): [*single, *flags, *group.stages] for group in planned.groups}
    return max(map(abs, SideBySide(commands, at_once).run().values()))


def _name(group: Group) -> str:
    return " + ".join(group.labs)


def _run(command: list[str]) -> int:
    return subprocess.run(command, check=False).returncode


def _in_order_of_value() -> tuple[str, ...]:
    """Every lab, in the order of dvc.yaml: what is asked for most, and is soon made, comes first."""
    graph = yaml.safe_load(Path("dvc.yaml").read_text(encoding="utf-8"))
    return tuple(graph["vars"][0]["labs"])
