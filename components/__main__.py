"""The command line: python -m components <step> <lab>."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import Annotated

import typer

from components import params as parameters
from components.errors import UserError
from components.labs import LABS, Lab, find
from components.params import LabParams
from components.settings import settings

app = typer.Typer(
    name="python -m components",
    help="Take a lab's model from raw data to promotion, one step at a time; `dvc repro` runs them all in order.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

LabName = Annotated[str, typer.Argument(metavar="LAB", help=f"One of: {', '.join(LABS)}.")]
ParamsFile = Annotated[Path, typer.Option("--params", help="Where the numbers are.")]
Build = Annotated[Path, typer.Option("--build", help="Folder of the steps' outputs: BUILD/LAB/STEP.")]
PARAMS = Path("params.yaml")
BUILD = Path("build")


@app.command()
def prepare(lab: LabName, params: ParamsFile = PARAMS, build: Build = BUILD) -> None:
    """Clean and split the raw data; the report says what was dropped, by which rule."""
    from components.steps.prepare import prepare as step

    found, values, folder = _resolve(lab, params, build)
    step(found, values, Path(values.data.folder), folder / "prepare")


@app.command()
def validate(lab: LabName, params: ParamsFile = PARAMS, build: Build = BUILD) -> None:
    """Check raw and prepared data with Great Expectations; a failed expectation stops the graph and names rows."""
    from components.steps.validate import validate as step

    found, values, folder = _resolve(lab, params, build)
    step(found, values, Path(values.data.folder), folder / "prepare", folder / "validate")


@app.command()
def train(lab: LabName, params: ParamsFile = PARAMS, build: Build = BUILD) -> None:
    """Train the model. Killed, it goes on from the last epoch boundary when run again."""
    from components.steps.train import train as step

    found, values, folder = _resolve(lab, params, build)
    step(found, values, folder / "prepare", folder / "train", build / ".checkpoints")


@app.command()
def export(lab: LabName, params: ParamsFile = PARAMS, build: Build = BUILD) -> None:
    """Write the bundle: ONNX graphs, bundle.json and the parity of torch and onnxruntime."""
    from components.steps.export import export as step

    found, values, folder = _resolve(lab, params, build)
    step(found, values, folder / "prepare", folder / "train", folder / "export")


@app.command()
def evaluate(lab: LabName, params: ParamsFile = PARAMS, build: Build = BUILD) -> None:
    """Measure the exported bundle on held-out data, through onnxruntime."""
    from components.steps.evaluate import evaluate as step

    found, values, folder = _resolve(lab, params, build)
    step(found, values, folder / "prepare", folder / "export", folder / "evaluate")


@app.command()
def gate(
    lab: LabName,
    params: ParamsFile = PARAMS,
    build: Build = BUILD,
    require_pass: Annotated[bool, typer.Option(help="Exit with 3 when the candidate is blocked.")] = False,
) -> None:
    """Decide whether the candidate may replace the champion. A blocked candidate is a result: exit code 0."""
    from components.steps.gate import gate as step

    found, values, folder = _resolve(lab, params, build)
    step(found, values, folder / "evaluate", folder / "gate", require_pass=require_pass)


@app.command()
def promote(lab: LabName, params: ParamsFile = PARAMS, build: Build = BUILD) -> None:
    """Register the bundle and move the alias `champion` to it, if the decision allows it."""
    from components.steps.promote import promote as step

    found, values, folder = _resolve(lab, params, build)
    step(found, values, folder / "export", folder / "evaluate", folder / "gate", folder / "promote")


def _resolve(lab: str, params: Path, build: Path) -> tuple[Lab, LabParams, Path]:
    return find(lab), parameters.load(lab, params), build / lab


def main() -> None:
    logging.basicConfig(level=settings().log_level, format="%(levelname)s %(message)s", stream=sys.stderr)
    try:
        app()
    except UserError as error:
        sys.stderr.write(f"error: {error}\n")
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
