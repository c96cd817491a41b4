"""`dvc repro` as one recorded run: the pin checked before, the stages' runs below one parent."""

import subprocess
import sys
from pathlib import Path

from components import config as parameters
from components.labs import LABS, find
from components.sources.pin import check_pin
from components.tracking.runs import repro as recorded


def repro(labs: tuple[str, ...]) -> int:
    """Runs the graph of `labs` (all when empty) and returns DVC's exit code.

    Raises UserError for an unknown lab, wrong parameters, data that is not what its pin says, or an MLflow that can't
    be reached; nothing has run then.
    """
    for lab in labs:
        find(lab)
    params = [parameters.load(lab, Path("params.yaml")) for lab in labs or LABS]
    check_pin(Path(), params[0].data.folder)
    with recorded(labs or LABS) as run:
        stages = [f"promote@{lab}" for lab in labs]
        command = ["env", f"REPRO_RUN={run.id}", sys.executable, "-m", "dvc", "repro", *stages]
        return subprocess.run(command, check=False).returncode
