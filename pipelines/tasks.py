"""The steps as Kubeflow's tasks. Each calls its step once; nothing is decided here, nothing is installed at run time.

Kubeflow sends the source of each function to its container, so a function imports all that it uses. No
`from __future__ import annotations` here: the compiler reads types, not their names.
"""

from functools import partial
from typing import Any, NamedTuple

from kfp import dsl
from kfp.dsl import HTML, Artifact, ClassificationMetrics, Dataset, Input, Markdown, Metrics, Model, Output

task = partial(dsl.component, base_image="labs-training:dev", packages_to_install=[], install_kfp_package=False)
"""The image is a placeholder: the pipeline sets the one of params.yaml."""


@task
def open_run(
    lab: str,
    data_version: str,
    prepare: dict[str, Any],
    train: dict[str, Any],
    export: dict[str, Any],
    evaluate: dict[str, Any],
    audit: dict[str, Any],
    gate: dict[str, Any],
) -> NamedTuple("Opened", [("data_version", str), ("data_profile", str)]):  # type: ignore[valid-type]
    """Checks every parameter as the command line does, and opens the MLflow run that the steps belong to.

    prepare: the dataset's block of params.yaml; the other dictionaries are the sections of the lab's.
    Returns the data's version: `data_version`, or, where that is the address of a pin, what the pin says now.
    """
    from pipelines.workspace import open_pipeline_run

    sections = {"train": train, "export": export, "evaluate": evaluate, "audit": audit, "gate": gate}
    return open_pipeline_run(lab, data_version, prepare, sections)


@task
def data(dataset: str, data_profile: str, data_version: str, raw: Output[Dataset]) -> None:
    """Brings the pinned version of a dataset and checks every file of it."""
    from pipelines.workspace import bring_data

    raw.metadata.update(dataset=dataset, data_profile=data_profile, data_version=data_version)
    bring_data(raw)


@task
def prepare(
    dataset: str,
    prepare: dict[str, Any],
    raw: Input[Dataset],
    prepared: Output[Dataset],
) -> None:
    """Cleans and splits the raw data. prepare: the dataset's block of params.yaml."""
    from pipelines.workspace import run_step

    run_step("prepare", dataset, {"raw": raw}, prepared, block=prepare)


@task
def validate(
    dataset: str,
    raw: Input[Dataset],
    prepared: Input[Dataset],
    validated: Output[Artifact],
    data_docs: Output[HTML],
) -> None:
    """Checks raw and prepared data against the dataset's expectations."""
    from pipelines.artifacts import reports
    from pipelines.workspace import run_step

    reports(run_step("validate", dataset, {"raw": raw, "prepare": prepared}, validated), data_docs.path)


@task
def train(
    lab: str,
    train: dict[str, Any],
    prepared: Input[Dataset],
    trained: Output[Model],
    curve: Output[HTML],
    metrics: Output[Metrics],
) -> None:
    """Trains the model."""
    from components.files import read_json
    from pipelines import artifacts
    from pipelines.workspace import run_step

    inputs = {"prepare": prepared}
    folder = run_step("train", lab, inputs, trained, {"train": train})
    artifacts.curve(folder, curve.path)
    artifacts.numbers(metrics, read_json(folder / "training.json")["metrics"])


@task
def train_together(
    lab: str,
    train: dict[str, Any],
    job: dict[str, Any],
    prepared: Input[Dataset],
    trained: Output[Model],
    curve: Output[HTML],
    metrics: Output[Metrics],
) -> None:
    """Trains the model on several machines, by a TrainJob that this task makes and follows."""
    from components.files import read_json
    from pipelines import artifacts, trainjob

    folder = trainjob.train_together(lab, {"train": train}, job, prepared, trained)
    artifacts.curve(folder, curve.path)
    artifacts.numbers(metrics, read_json(folder / "training.json")["metrics"])


@task
def choose(
    lab: str,
    candidates: list[dict[str, Any]],
    trainings: Input[list[Model]],
    trained: Output[Model],
    table: Output[Markdown],
    metrics: Output[Metrics],
) -> dict[str, Any]:
    """Takes the training of a sweep with the best validation figure, and its section `train`.

    candidates: in the order of the trainings.
    """
    from pathlib import Path

    from components.files import write_text
    from components.labs import find
    from pipelines import artifacts
    from pipelines.sweep import best_of, comparison

    folders = [Path(training.path) for training in trainings]
    best = best_of(folders, Path(trained.path), find(lab).monitor)
    write_text(Path(table.path), comparison(folders, candidates, best.index))
    artifacts.numbers(metrics, best.metrics)
    return candidates[best.index]


@task
def export(
    lab: str,
    train: dict[str, Any],
    export: dict[str, Any],
    prepared: Input[Dataset],
    trained: Input[Model],
    bundle: Output[Model],
) -> None:
    """Writes the bundle: what is measured from here on is what is served."""
    from components.files import read_json
    from pipelines.workspace import run_step

    sections, inputs = {"train": train, "export": export}, {"prepare": prepared, "train": trained}
    folder = run_step("export", lab, inputs, bundle, sections)
    bundle.metadata["digest"] = read_json(folder / "bundle.json")["digest"]


@task
def evaluate(
    lab: str,
    train: dict[str, Any],
    evaluate: dict[str, Any],
    prepared: Input[Dataset],
    bundle: Input[Model],
    evaluated: Output[Artifact],
    report: Output[HTML],
    metrics: Output[Metrics],
    classification: Output[ClassificationMetrics],
) -> None:
    """Measures the bundle on held-out data."""
    from components.files import read_json
    from pipelines import artifacts
    from pipelines.workspace import run_step

    sections, inputs = {"train": train, "evaluate": evaluate}, {"prepare": prepared, "export": bundle}
    folder = run_step("evaluate", lab, inputs, evaluated, sections)
    artifacts.reports(folder, report.path)
    artifacts.numbers(metrics, read_json(folder / "metrics.json"))
    artifacts.classification(folder, classification)


@task
def audit(
    lab: str,
    train: dict[str, Any],
    audit: dict[str, Any],
    prepared: Input[Dataset],
    bundle: Input[Model],
    evaluated: Input[Artifact],
    audited: Output[Artifact],
    report: Output[HTML],
    card: Output[Markdown],
    metrics: Output[Metrics],
) -> None:
    """Judges the bundle as it would be served."""
    from shutil import copyfile

    from components.files import read_json
    from pipelines import artifacts
    from pipelines.workspace import run_step

    inputs = {"prepare": prepared, "export": bundle, "evaluate": evaluated}
    sections = {"train": train, "audit": audit}
    folder = run_step("audit", lab, inputs, audited, sections)
    artifacts.reports(folder, report.path)
    copyfile(folder / "card.md", card.path)
    artifacts.numbers(metrics, read_json(folder / "metrics.json"))


@task
def gate(
    lab: str,
    train: dict[str, Any],
    gate: dict[str, Any],
    evaluated: Input[Artifact],
    decided: Output[Artifact],
    decision: Output[Markdown],
    audited: Input[Artifact] = None,
) -> bool:
    """Decides whether the candidate may pass, and returns that. audited: of an audited lab.

    A lab without an audit leaves that input out: ML Metadata takes no artifact in two inputs of a task.
    The answer is the only output that is no file, because the local runner resolves no other name in a condition.
    """
    from shutil import copyfile

    from components.records import Decision, read_record
    from pipelines.workspace import run_step

    inputs = {"evaluate": evaluated} | ({"audit": audited} if audited else {})
    folder = run_step("gate", lab, inputs, decided, {"train": train, "gate": gate})
    copyfile(folder / "decision.md", decision.path)
    verdict = read_record(folder / "decision.json", Decision).verdict
    decided.metadata["verdict"] = str(verdict)
    return verdict.allows


@task
def promote(
    lab: str,
    train: dict[str, Any],
    gate: dict[str, Any],
    bundle: Input[Model],
    evaluated: Input[Artifact],
    decided: Input[Artifact],
    promoted: Output[Artifact],
    audited: Input[Artifact] = None,
) -> None:
    """Makes the candidate the champion. It decides again: being called is not enough."""
    from pipelines.workspace import run_step

    inputs = {"export": bundle, "evaluate": evaluated, "gate": decided} | ({"audit": audited} if audited else {})
    run_step("promote", lab, inputs, promoted, {"train": train, "gate": gate})


@task
def close_run(lab: str, status: dsl.PipelineTaskFinalStatus, summary: Output[Markdown]) -> None:
    """Ends the MLflow run, however the steps ended, and says what came of it."""
    from pathlib import Path

    from pipelines import summary as closing
    from pipelines.workspace import work_folder

    with work_folder():
        closing.close_run(lab, status.state, status.error_message, Path(summary.path))
