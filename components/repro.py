"""`dvc repro` as one recorded run: the pins checked before, the stages' runs below one parent."""

import logging
import subprocess
import sys
from pathlib import Path

import yaml

from components import params as parameters
from components.datasets import find_dataset
from components.labs import with_reference_models
from components.plan import plan
from components.remote import configured
from components.settings import path_with_this_python
from components.sources.pin import check_pin
from components.steps import weights_of
from components.tracking.runs import repro as recorded

log = logging.getLogger(__name__)

ALL = "all"
SHOWN = ("music", "faces")
"""Labs that are made where none is named: those that the APIs are known for."""


def repro(names: tuple[str, ...]) -> int:
    """Runs the graph of these labs (SHOWN when empty, every lab for ALL), one after another, each up to its promotion.

    Says first what has changed, and returns DVC's exit code. Where there is a DVC remote, an output that is missing and
    otherwise as dvc.lock has it is taken from there, if it is there.
    Raises UserError for an unknown lab, wrong parameters, missing weights, data that is not what its pin says, or an
    MLflow that can't be reached; nothing has run then.
    """
    path = Path("params.yaml")
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
    for line in planned.lines:
        log.info("plan: %s", line)
    with recorded(tuple(labs), datasets) as run:
        stages = [f"promote@{name}" for name in wanted]
        # The stages run `python`: the one that runs this, also where its environment is not activated.
        command = ["env", f"REPRO_RUN={run.id}", f"PATH={path_with_this_python()}", sys.executable]
        flags = ["--pull"] if planned.pulls else []  # it asks the remote each time
        code = subprocess.run([*command, "-m", "dvc", "repro", *flags, *stages], check=False).returncode
    if not code:
        log.info("done: `python -m serving` serves every promoted model, with a front page on http://127.0.0.1:3000")
    return code


def _in_order_of_value() -> tuple[str, ...]:
    """Every lab, in the order of dvc.yaml: what is asked for most, and is soon made, comes first."""
    graph = yaml.safe_load(Path("dvc.yaml").read_text(encoding="utf-8"))
    return tuple(graph["vars"][0]["labs"])
