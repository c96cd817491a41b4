"""What the command line does on a Kubeflow installation: upload, run, cancel, list, schedule."""

from __future__ import annotations

import json
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.errors import UserError
from components.redaction import redacted
from pipelines.connection import Connection, Kubeflow
from pipelines.ir_check import check_arguments
from pipelines.run_spec import Request, compile_to

if TYPE_CHECKING:
    from kfp_server_api import V2beta1Pipeline, V2beta1Run

ENDED = ("SUCCEEDED", "FAILED", "CANCELED", "SKIPPED")


def submit(request: Request, kubeflow: Kubeflow, experiment: str, pipeline_root: str | None) -> str:
    """Uploads the pipeline, if this version of it is not there yet, and runs it. Returns the run's id."""
    client = kubeflow.client
    check_arguments(request.arguments())
    with kubeflow.failures_named():
        started = client.run_pipeline(
            experiment_id=client.create_experiment(experiment, namespace=kubeflow.namespace).experiment_id,
            job_name=f"{request.name} {datetime.now(UTC):%Y-%m-%d %H:%M:%S}",
            params=request.arguments(),
            pipeline_root=pipeline_root,
            **_uploaded(kubeflow, request),
        )
    return str(started.run_id)


def find_run(kubeflow: Kubeflow, run: str) -> V2beta1Run:
    """run: an id, or the address that `submit` printed. Raises UserError where there is no such run."""
    with kubeflow.failures_named():
        return kubeflow.client.get_run(run.rstrip("/").rpartition("/")[2])


def cancel(kubeflow: Kubeflow, run: V2beta1Run) -> None:
    """Stops a run; its exit task still closes the MLflow run. Raises UserError when it has ended already."""
    if run.state in ENDED:
        raise UserError(f"the run {run.run_id} has ended already: {run.state}")
    with kubeflow.failures_named():
        kubeflow.client.terminate_run(run.run_id)


def recent_runs(kubeflow: Kubeflow, count: int) -> list[V2beta1Run]:
    """The last runs, newest first."""
    with kubeflow.failures_named():
        listed = kubeflow.client.list_runs(
            page_size=count, sort_by="created_at desc", namespace=kubeflow.namespace or None
        )
    return listed.runs or []


def check_schedule(request: Request, cron: str, pin: str) -> None:
    """Raises UserError for a schedule that would train at every tick, follow nothing, or never tick."""
    if not request.cluster.cached:
        raise UserError(
            f"pipelines.image is {request.cluster.image}: pin it (name@sha256:...), or every tick trains anew, because "
            "outputs of an image that may change are not cached"
        )
    if not pin:
        raise UserError("pipelines.pin is empty: a schedule follows the address of a data.dvc; set it, or use --pin")
    if redacted(pin) != pin:
        raise UserError("--pin is an address with a login in it, which every run would show: take one without")
    if len(cron.split()) not in (5, 6):
        raise UserError(f"--cron is '{cron}': five fields, or six that begin with seconds, such as '0 3 * * *'")


def schedule(
    request: Request, connection: Connection, experiment: str, pipeline_root: str | None, cron: str, pin: str
) -> str:
    """A recurring run that follows the pin at an address; returns its id. One of the same name is replaced.

    Nothing is trained while the pin stays: the steps' outputs are in the cache. So the image must be pinned.
    """
    check_schedule(request, cron, pin)
    kubeflow = connection.open()
    client = kubeflow.client
    with kubeflow.failures_named():
        experiment_id = client.create_experiment(experiment, namespace=kubeflow.namespace).experiment_id
        name = f"{request.name} when the data changes"
        listed = client.list_recurring_runs(experiment_id=experiment_id, page_size=100).recurring_runs or []
        made = client.create_recurring_run(
            experiment_id=experiment_id,
            job_name=name,
            cron_expression=cron if len(cron.split()) == 6 else f"0 {cron}",
            max_concurrency=1,
            no_catchup=True,
            params={**request.arguments(), "data_version": pin},
            pipeline_root=pipeline_root,
            **_uploaded(kubeflow, request),
        )
        for old in listed:
            if old.display_name == name:
                client.delete_recurring_run(old.recurring_run_id)
    return str(made.recurring_run_id)


def _uploaded(kubeflow: Kubeflow, request: Request) -> dict[str, Any]:
    """The ids of the pipeline and of its version that says what this request's pipeline says."""
    client = kubeflow.client
    with tempfile.TemporaryDirectory() as folder:
        package = Path(folder) / f"{request.name}.yaml"
        version = compile_to(request.pipeline(), package)[:12]
        pipeline = _find_pipeline(kubeflow, request.name)
        if pipeline is None:
            pipeline = client.upload_pipeline(str(package), request.name, namespace=kubeflow.namespace or None)
        pipeline_id = str(pipeline.pipeline_id)
        listed = client.list_pipeline_versions(pipeline_id, page_size=100, sort_by="created_at desc")
        for known in listed.pipeline_versions or []:
            if known.display_name == version:
                return {"pipeline_id": pipeline_id, "version_id": known.pipeline_version_id}
        made = client.upload_pipeline_version(str(package), version, pipeline_id=pipeline_id)
        return {"pipeline_id": pipeline_id, "version_id": made.pipeline_version_id}


def _find_pipeline(kubeflow: Kubeflow, name: str) -> V2beta1Pipeline | None:
    # The client's own get_pipeline_id looks in no namespace.
    wanted = {"predicates": [{"operation": "EQUALS", "key": "display_name", "stringValue": name}]}
    listed = kubeflow.client.list_pipelines(filter=json.dumps(wanted), namespace=kubeflow.namespace or None)
    found = listed.pipelines
    return found[0] if found else None
