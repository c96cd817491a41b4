"""`dvc repro` as one recorded run: the pins checked before, the stages' runs below one parent."""

import subprocess
import sys
from pathlib import Path

from components import params as parameters
from components.datasets import find_dataset
from components.labs import LABS, Lab, find
from components.settings import path_with_this_python
from components.sources.pin import check_pin
from components.tracking.runs import repro as recorded


def repro(names: tuple[str, ...]) -> int:
    """Runs the graph of these labs (all when empty) and returns DVC's exit code.

    Raises UserError for an unknown lab, wrong parameters, data that is not what its pin says, or an MLflow that can't
    be reached; nothing has run then.
    """
    path = Path("params.yaml")
    labs = {name: lab for wanted in names or LABS for name, lab in with_reference_models(wanted).items()}
    for lab in labs.values():
        parameters.load(lab, path)
    datasets = tuple(dict.fromkeys(lab.dataset for lab in labs.values()))
    for name in datasets:
        check_pin(Path(), name, parameters.load_dataset(find_dataset(name), path).profile)
    with recorded(tuple(labs), datasets) as run:
        stages = [f"promote@{name}" for name in names]
        # The stages run `python`: the one that runs this, also where its environment is not activated.
        command = ["env", f"REPRO_RUN={run.id}", f"PATH={path_with_this_python()}", sys.executable]
        return subprocess.run([*command, "-m", "dvc", "repro", *stages], check=False).returncode


def with_reference_models(name: str) -> dict[str, Lab]:
    """A lab after those that it is measured with, by name."""
    lab = find(name)
    found: dict[str, Lab] = {}
    for reference in lab.reference_models:
        found |= with_reference_models(reference)
    return {**found, name: lab}
