"""The command line: python -m components <step> <lab>."""

from __future__ import annotations

import difflib
import logging
import re
import sys
from pathlib import Path
from typing import Annotated, get_args

import typer

from components import command_line
from components import config as parameters
from components.errors import UserError
from components.labs import LABS, find
from components.settings import settings
from components.sources.catalogue import Profile
from components.steps import recorded
from components.tracking import journal

log = logging.getLogger("components")

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
PROFILES: tuple[Profile, ...] = get_args(Profile)


@app.command()
def fetch(
    labs: Annotated[
        list[str] | None, typer.Argument(metavar="[LAB]...", help="Bring these labs' data only (default: all).")
    ] = None,
    profile: Annotated[
        str | None, typer.Option(help=f"{' or '.join(PROFILES)} (default: the one in params.yaml).")
    ] = None,
) -> None:
    """Bring the raw data. Falls back to the small starter data, loudly, where the course's can't be had."""
    from components.steps.fetch import fetch as step

    step(labs or [], _profile(profile), Path())


@app.command()
def accept_data() -> None:
    """Take data/ as it is for a new version. Rewrites its pin, which git then records."""
    from components.sources.pin import accept_data as accept

    folder = parameters.load(LABS[0], PARAMS).data.folder
    log.info("%s.dvc now pins %s; commit it with git", folder, accept(Path(), folder))


@app.command()
def repro(
    labs: Annotated[
        list[str] | None, typer.Argument(metavar="[LAB]...", help="These labs only (default: all).")
    ] = None,
) -> None:
    """Run what has changed of the graph. Checks the data against its pin, then `dvc repro` as one MLflow run."""
    from components.repro import repro as run

    sys.exit(run(tuple(labs or ())))


@app.command()
def prepare(lab: LabName, params: ParamsFile = PARAMS, build: Build = BUILD) -> None:
    """Clean and split the raw data. The report says what was dropped, by which rule."""
    from components.steps.prepare import prepare as step

    with recorded("prepare", lab, params, build) as this:
        step(this.lab, this.params, Path(this.params.data.folder), this.out)


@app.command()
def validate(lab: LabName, params: ParamsFile = PARAMS, build: Build = BUILD) -> None:
    """Check raw and prepared data. A failed Great Expectation stops the graph and names the rows."""
    from components.steps.validate import validate as step

    with recorded("validate", lab, params, build) as this:
        step(this.lab, this.params, Path(this.params.data.folder), this.output_of("prepare"), this.out)


@app.command()
def train(lab: LabName, params: ParamsFile = PARAMS, build: Build = BUILD) -> None:
    """Train the model. Killed, it goes on from the last epoch boundary when run again; torchrun starts several."""
    from components.steps.train import follow
    from components.steps.train import train as step
    from components.tracking.runs import lightning_logger

    if settings().rank > 0:  # only the first of several processes writes, and says so
        follow(find(lab), parameters.load(lab, params), build / lab / "prepare", build / ".checkpoints")
        return
    with recorded("train", lab, params, build, live=True) as this:
        checkpoints = build / ".checkpoints"
        metrics = step(
            this.lab, this.params, this.output_of("prepare"), this.out, checkpoints, [lightning_logger(this.run)]
        )
        this.run.log_metrics({f"best_{name}": value for name, value in metrics.items()})


@app.command()
def export(lab: LabName, params: ParamsFile = PARAMS, build: Build = BUILD) -> None:
    """Write the model as a bundle. It holds ONNX graphs, bundle.json and the parity of torch and onnxruntime."""
    from components.steps.export import export as step

    with recorded("export", lab, params, build) as this:
        step(this.lab, this.params, this.output_of("prepare"), this.output_of("train"), this.out)


@app.command()
def evaluate(lab: LabName, params: ParamsFile = PARAMS, build: Build = BUILD) -> None:
    """Measure the bundle on held-out data. What runs is what is served, through onnxruntime."""
    from components.steps.evaluate import evaluate as step

    with recorded("evaluate", lab, params, build) as this:
        prepared, bundle = this.output_of("prepare"), this.output_of("export")
        this.run.log_metrics(step(this.lab, this.params, prepared, bundle, this.out, this.instruments()).metrics)


@app.command()
def audit(lab: LabName, params: ParamsFile = PARAMS, build: Build = BUILD) -> None:
    """Judge the bundle as it would be served. Who is missed, how sure that is; labs that are audited only."""
    from components.steps.audit import audit as step

    with recorded("audit", lab, params, build) as this:
        prepared, bundle, evaluation = (this.output_of(name) for name in ("prepare", "export", "evaluate"))
        this.run.log_metrics(step(this.lab, this.params, prepared, bundle, evaluation, this.out).metrics)


@app.command()
def gate(
    lab: LabName,
    params: ParamsFile = PARAMS,
    build: Build = BUILD,
    require_pass: Annotated[
        bool, typer.Option("--require-pass", help="Exit with 3 when the candidate is blocked.")
    ] = False,
) -> None:
    """Decide whether the candidate may pass. A blocked candidate is a result: exit code 0."""
    from components.steps.gate import gate as step

    with recorded("gate", lab, params, build) as this:
        audited = this.output_of("audit") if this.lab.audited else None
        decided = {name: build / name / "gate" for name in this.lab.instruments}
        step(this.lab, this.params, this.output_of("evaluate"), this.out, audited, require_pass, decided)


@app.command()
def promote(lab: LabName, params: ParamsFile = PARAMS, build: Build = BUILD) -> None:
    """Make a passed candidate the champion. Registers the bundle in MLflow and moves the alias to it."""
    from components.steps.promote import promote as step

    with recorded("promote", lab, params, build) as this:
        step(
            this.lab,
            this.output_of("export"),
            this.output_of("evaluate"),
            this.output_of("gate"),
            this.out,
            run=this.run,
            audit=this.output_of("audit") if this.lab.audited else None,
        )


@app.command()
def rollback(
    lab: LabName,
    version: Annotated[int, typer.Argument(help="A version promoted earlier.")],
    build: Build = BUILD,
) -> None:
    """Make an earlier version the champion again. Its bundle is verified first."""
    from components.steps.promote import roll_back

    roll_back(find(lab), str(version), build / journal.NAME)


@app.command()
def download(
    lab: LabName,
    digest: Annotated[str, typer.Option(help="The model's digest, 64 hexadecimal digits.")],
    into: Annotated[Path, typer.Option(help="The folder to put the bundle in.")],
) -> None:
    """Bring a promoted bundle from the registry. Named by its digest, and checked before it is put there."""
    from components.tracking.registry import fetch_digest

    if re.fullmatch("[0-9a-f]{64}", digest) is None:
        raise UserError(f"'{digest}' is no model's digest: 64 hexadecimal digits, as `bundle.json` and /info have them")
    log.info("%s: %s is in %s", lab, digest, fetch_digest(find(lab).name, digest, into))


def _profile(name: str | None) -> Profile | None:
    for profile in PROFILES:
        if name == profile:
            return profile
    if name is None:
        return None
    near = difflib.get_close_matches(name, PROFILES, n=1, cutoff=0.0)
    raise UserError(f"there is no profile '{name}'; did you mean '{near[0]}'?")


def main() -> None:
    # Ours at the level asked for; libraries only when something is wrong.
    logging.basicConfig(level="WARNING", format="%(levelname)s %(message)s", stream=sys.stderr)
    command_line.run(app, lambda: log.setLevel(settings().log_level))


if __name__ == "__main__":
    main()
