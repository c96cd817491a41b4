"""The command line: python -m components <step> <dataset or lab>."""

from __future__ import annotations

import logging
import re
import sys
from pathlib import Path
from typing import Annotated

import typer

from components import command_line
from components import params as parameters
from components.datasets import DATASETS
from components.discovery import nearest
from components.errors import UserError
from components.labs import LABS, find, with_reference_models
from components.redaction import configure_logging
from components.settings import settings, wait_passively
from components.sources.catalogue import Profile
from components.sources.profile import PROFILES, profile_in_use
from components.steps import dataset_step, inputs_of, lab_step
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

DatasetName = Annotated[str, typer.Argument(metavar="DATASET", help=f"One of: {', '.join(DATASETS)}.")]
LabName = Annotated[str, typer.Argument(metavar="LAB", help=f"One of: {', '.join(LABS)}.")]
ParamsFile = Annotated[Path, typer.Option("--params", help="Where the numbers are.")]
Build = Annotated[Path, typer.Option("--build", help="Folder of the steps' outputs: BUILD/NAME/STEP.")]
PARAMS = Path("params.yaml")
BUILD = Path("build")


@app.command()
def fetch(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="[LAB or DATASET]...", help="Bring what these read only (default: everything)."),
    ] = None,
    profile: Annotated[
        str | None, typer.Option(help=f"{' or '.join(PROFILES)} (default: each dataset's own, in params.yaml).")
    ] = None,
) -> None:
    """Bring the raw data. A dataset that can't be had falls back to its small starter data, loudly."""
    from components.steps.fetch import fetch as step

    wanted = names or list(LABS)
    for name in wanted:
        nearest("lab or dataset", name, tuple(sorted({*LABS, *DATASETS})))
    labs = [lab for name in wanted if name in LABS for lab in with_reference_models(name).values()]
    datasets = [*(lab.dataset for lab in labs), *(name for name in wanted if name in DATASETS and name not in LABS)]
    weights = [name for lab in labs for name in lab.pretrained]
    step(dict.fromkeys(datasets), dict.fromkeys(weights), _profile(profile), Path(), optional=not names)


@app.command()
def accept_data(dataset: DatasetName) -> None:
    """Take a dataset's folder, or that of pretrained weights, as it is for a new version.

    Rewrites its entry in data.dvc, which git then records.
    """
    from components.sources.pin import PIN
    from components.sources.pin import accept_data as accept

    weights = {name for lab in LABS for name in find(lab).pretrained}
    nearest("dataset", dataset, tuple(sorted({*DATASETS, *weights})))
    profile: Profile = "course" if dataset in weights else profile_in_use(PARAMS, dataset)
    log.info("%s now pins %s as %s; commit it with git", PIN, dataset, accept(Path(), dataset, profile))


@app.command()
def repro(
    labs: Annotated[
        list[str] | None, typer.Argument(metavar="[LAB]...", help="These labs, or `all` (default: music and faces).")
    ] = None,
) -> None:
    """Run what has changed of the graph, lab by lab up to its promotion.

    Checks the data against its pin, says what will run, then runs `dvc repro` as one MLflow run.
    """
    from components.repro import repro as run

    sys.exit(run(tuple(labs or ())))


@app.command()
def remote(
    url: Annotated[str, typer.Argument(metavar="URL", help="s3://bucket/path, or a folder.")],
    endpoint_url: Annotated[str, typer.Option(help="Of an S3 store that is not Amazon's.")] = "",
    local: Annotated[bool, typer.Option("--local", help="On this machine only, where git does not see it.")] = False,
) -> None:
    """Name the DVC remote that outputs of steps are pushed to and pulled from. Keys are no part of its address."""
    from components.remote import configure

    file = configure(url, endpoint_url, local)
    log.info("%s names %s for `dvc push` and `make pull`%s", file, url, "" if local else "; commit it with git")


@app.command()
def pull(
    labs: Annotated[list[str] | None, typer.Argument(metavar="[LAB]...", help="Default: all of dvc.lock.")] = None,
) -> None:
    """Bring models from the DVC remote in place of training. They are judged and promoted here, like one's own."""
    from components.remote import pull as bring

    for lab in bring(tuple(labs or ()), PARAMS, BUILD):
        gate(lab)
        promote(lab)


@app.command()
def versions(params: ParamsFile = PARAMS, build: Build = BUILD) -> None:
    """Write what each step stands on: versions of data, hashes of code. DVC's other stages depend on it."""
    from components.steps.versions import write_versions

    write_versions(params, build / "versions")


@app.command()
def prepare(dataset: DatasetName, params: ParamsFile = PARAMS, build: Build = BUILD) -> None:
    """Clean and split the raw data of a dataset. The report says what was dropped, by which rule."""
    from components.steps.prepare import prepare as step

    with dataset_step("prepare", dataset, params, build) as this:
        step(this.dataset, this.params, this.raw, this.out)


@app.command()
def validate(dataset: DatasetName, params: ParamsFile = PARAMS, build: Build = BUILD) -> None:
    """Check raw and prepared data. A failed Great Expectation stops the graph and names the rows."""
    from components.steps.validate import validate as step

    with dataset_step("validate", dataset, params, build) as this:
        step(this.dataset, this.params, this.raw, this.output_of("prepare"), this.out)


@app.command()
def train(lab: LabName, params: ParamsFile = PARAMS, build: Build = BUILD) -> None:
    """Train the model. Killed, it goes on from the last epoch boundary when run again; torchrun starts several."""
    from components.steps.train import follow
    from components.steps.train import train as step
    from components.tracking.runs import lightning_logger

    checkpoints = build / ".checkpoints"
    if settings().rank > 0:  # only the first of several processes writes, and says so
        found = find(lab)
        follow(found, parameters.load(found, params).train, inputs_of(found, build), checkpoints)
        return
    with lab_step("train", lab, params, build, live=True) as this:
        inputs, logger = this.inputs, lightning_logger(this.run)
        metrics = step(this.lab, this.params.train, inputs, this.out, checkpoints, [logger])
        this.run.log_metrics({f"best_{name}": value for name, value in metrics.items()})


@app.command()
def search(
    lab: LabName,
    params: ParamsFile = PARAMS,
    build: Build = BUILD,
    apply: Annotated[bool, typer.Option("--apply", help="Write the best trial's values into params.yaml.")] = False,
) -> None:
    """Search for better training parameters with Optuna. By the lab's validation figure; killed, it goes on."""
    from components.search.apply import apply as write
    from components.search.command import search as run
    from components.search.report import command
    from components.search.study import values

    found = find(lab)
    try:
        best = run(found, params, build)
    except KeyboardInterrupt:
        log.warning("stopped; the same command goes on with this trial from its last epoch")
        sys.exit(130)
    typer.echo(f"best: trial {best.number}, {found.monitor.name} {best.value:.5g}")
    typer.echo(f"to the gate: {command(found, best, 'promote')}")
    if apply:
        write(found, values(best), params)
        typer.echo(f"{params} has these values now: python -m components repro {lab}")


@app.command()
def export(lab: LabName, params: ParamsFile = PARAMS, build: Build = BUILD) -> None:
    """Write the model as a bundle. It holds ONNX graphs, bundle.json and the parity of torch and onnxruntime."""
    from components.steps.export import export as step

    with lab_step("export", lab, params, build) as this:
        step(this.lab, this.params, this.provenance, this.inputs, this.output_of("train"), this.out)


@app.command()
def evaluate(lab: LabName, params: ParamsFile = PARAMS, build: Build = BUILD) -> None:
    """Measure the bundle on held-out data. What runs is what is served, through onnxruntime."""
    from components.steps.evaluate import evaluate as step

    with lab_step("evaluate", lab, params, build) as this:
        bundle, references = this.output_of("export"), this.reference_models()
        this.run.log_metrics(step(this.lab, this.params, this.inputs, bundle, this.out, references).metrics)


@app.command()
def audit(lab: LabName, params: ParamsFile = PARAMS, build: Build = BUILD) -> None:
    """Judge the bundle as it would be served. Who is missed, how sure that is; labs that are audited only."""
    from components.steps.audit import audit as step

    with lab_step("audit", lab, params, build) as this:
        bundle, evaluation = this.output_of("export"), this.output_of("evaluate")
        this.run.log_metrics(step(this.lab, this.params, this.inputs, bundle, evaluation, this.out).metrics)


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

    with lab_step("gate", lab, params, build) as this:
        evaluation, decided = this.output_of("evaluate"), this.reference_decisions()
        step(this.lab, this.params, evaluation, this.out, this.audited(), require_pass, decided)


@app.command()
def promote(lab: LabName, params: ParamsFile = PARAMS, build: Build = BUILD) -> None:
    """Make a passed candidate the champion. Registers the bundle in MLflow and moves the alias to it."""
    from components.steps.promote import Folders
    from components.steps.promote import promote as step

    with lab_step("promote", lab, params, build) as this:
        bundle, evaluation, decision = (this.output_of(name) for name in ("export", "evaluate", "gate"))
        made = Folders(bundle, evaluation, decision, this.audited(), this.reference_decisions())
        step(this.lab, this.params, made, this.out, run=this.run)


@app.command()
def rollback(
    lab: LabName,
    version: Annotated[int, typer.Argument(help="A version promoted earlier.")],
    build: Build = BUILD,
) -> None:
    """Make an earlier version the champion again. Its bundle and signature are verified first."""
    from components.steps.promote import roll_back

    roll_back(find(lab), str(version), build / journal.NAME)


@app.command()
def signing_key() -> None:
    """Make this machine's own pair of signing keys where there is none, and say where it is."""
    from components.signing_keys import PUBLIC, local_key

    private = local_key()
    typer.echo(f"{private} signs; give {private.with_name(PUBLIC)} to those who verify")


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
    if name is None:
        return None
    nearest("profile", name, PROFILES)
    return next(profile for profile in PROFILES if profile == name)


def main() -> None:
    wait_passively()
    # Ours at the level asked for; libraries only when something is wrong.
    configure_logging()
    command_line.run(app, lambda: log.setLevel(settings().log_level))


if __name__ == "__main__":
    main()
