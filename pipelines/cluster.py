"""A Kubeflow installation over its REST API: upload, run, follow, schedule. Every failure is one line."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import tempfile
import time
import urllib.error
import urllib.request
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.errors import UserError
from pipelines.run_spec import Request, compile_to

if TYPE_CHECKING:
    import kfp
    from kfp_server_api import V2beta1Pipeline, V2beta1Run

log = logging.getLogger(__name__)

SECONDS = 15
"""Patience with the first answer; the client's own goes on for half a minute whatever the answer was."""
IN_CLUSTER_TOKEN = Path("/var/run/secrets/kubeflow/pipelines/token")
"""Where a pod finds the token that its service account was given for Kubeflow Pipelines."""
ENDED = ("SUCCEEDED", "FAILED", "CANCELED", "SKIPPED")


@dataclass(frozen=True)
class Connection:
    """host: ends in /pipeline behind Kubeflow's gateway. namespace: of a multi-user Kubeflow; empty for a plain one."""

    host: str
    namespace: str = ""
    token: str = ""
    token_file: Path | None = None
    """Holds a token that is renewed, as a pod's does."""

    def open(self) -> kfp.Client:
        """A client that has been let in. Raises UserError."""
        self._let_in()
        import kfp
        from kfp.client import ServiceAccountTokenVolumeCredentials

        warnings.filterwarnings("ignore", category=FutureWarning, module="kfp")
        with self.failures_named():
            client = kfp.Client(
                host=self.host,
                namespace=self.namespace or "kubeflow",
                existing_token=self.token or None,
                credentials=ServiceAccountTokenVolumeCredentials(str(self.token_file)) if self.token_file else None,
            )
            # Whoever may not use the namespace, or names one that is not there, learns it here, before an upload.
            client.list_experiments(page_size=1, namespace=self.namespace)
        return client

    @contextlib.contextmanager
    def failures_named(self) -> Iterator[None]:
        """What the client raises as UserError; what it prints is swallowed."""
        from kfp_server_api import ApiException
        from urllib3.exceptions import HTTPError

        try:
            with contextlib.redirect_stdout(io.StringIO()):
                yield
        except ApiException as error:
            raise self._refused(error.status or 0, str(error.body or error.reason)) from None
        except HTTPError as error:
            raise UserError(f"Kubeflow at {self.host} went away: {_line(str(error))}") from None

    def _let_in(self) -> None:
        if not self.host.startswith(("http://", "https://")):
            raise UserError(f"--host is '{self.host}': an address is needed, such as https://kubeflow.example/pipeline")
        token = self._token()
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        request = urllib.request.Request(f"{self.host.rstrip('/')}/apis/v2beta1/healthz", headers=headers)  # noqa: S310
        try:
            with urllib.request.urlopen(request, timeout=SECONDS) as answer:  # noqa: S310 - scheme checked
                multi_user = json.loads(answer.read()).get("multi_user")
        except urllib.error.HTTPError as error:
            raise self._refused(error.code, error.read().decode(errors="replace")) from None
        except (json.JSONDecodeError, AttributeError):
            raise UserError(
                f"{self.host} answers with a page, not as Kubeflow Pipelines: is a token missing?"
            ) from None
        except (OSError, ValueError) as error:
            reason = getattr(error, "reason", error)
            raise UserError(f"Kubeflow at {self.host} can't be reached: {_line(str(reason))}") from None
        if multi_user and not self.namespace:
            raise UserError(f"Kubeflow at {self.host} has many users: name yours with --namespace")

    def _token(self) -> str:
        if self.token_file is None:
            return self.token
        try:
            return self.token_file.read_text(encoding="utf-8").strip()
        except OSError as error:
            raise UserError(
                f"{self.token_file} cannot be read ({error.strerror}): is this a pod of the cluster?"
            ) from None

    def _refused(self, status: int, body: str) -> UserError:
        with contextlib.suppress(ValueError, TypeError, KeyError):
            body = json.loads(body)["message"]
        if status == 401:
            return UserError(
                f"Kubeflow at {self.host} wants a valid token (401): set KUBEFLOW_TOKEN, or take --in-cluster"
            )
        if status in (403, 404) and self.namespace:
            return UserError(
                f"Kubeflow at {self.host}: the namespace '{self.namespace}' is not there, or not yours ({status}): "
                f"{_line(body)}"
            )
        return UserError(f"Kubeflow at {self.host} refused ({status}): {_line(body)}")


def submit(request: Request, connection: Connection, experiment: str, pipeline_root: str | None) -> V2beta1Run:
    """Uploads the pipeline, if this version of it is not there yet, and runs it. Raises UserError."""
    client = connection.open()
    with connection.failures_named():
        started: V2beta1Run = client.run_pipeline(
            experiment_id=client.create_experiment(experiment, namespace=connection.namespace).experiment_id,
            job_name=f"{request.name} {datetime.now(UTC):%Y-%m-%d %H:%M:%S}",
            params=request.arguments(),
            pipeline_root=pipeline_root,
            **_uploaded(client, connection, request),
        )
    return started


def schedule(
    request: Request, connection: Connection, experiment: str, pipeline_root: str | None, cron: str, pin: str
) -> str:
    """A recurring run that follows the pin at an address; returns its id. One of the same name is replaced.

    Nothing is trained while the pin stays: the steps' outputs are in the cache. So the image must be pinned.
    """
    if not request.cluster.cached:
        raise UserError(
            f"pipelines.image is {request.cluster.image}: pin it (name@sha256:...), or every tick trains anew, because "
            "outputs of an image that may change are not cached"
        )
    if not pin:
        raise UserError("pipelines.pin is empty: a schedule follows the address of a data.dvc; set it, or use --pin")
    if len(cron.split()) not in (5, 6):
        raise UserError(f"--cron is '{cron}': five fields, or six that begin with seconds, such as '0 3 * * *'")
    client = connection.open()
    with connection.failures_named():
        experiment_id = client.create_experiment(experiment, namespace=connection.namespace).experiment_id
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
            **_uploaded(client, connection, request),
        )
        for old in listed:
            if old.display_name == name:
                client.delete_recurring_run(old.recurring_run_id)
    return str(made.recurring_run_id)


def follow(client: kfp.Client, connection: Connection, run_id: str, seconds: float) -> str:
    """Logs every task's change of state until the run ends; returns its last state. Looks every `seconds`."""
    seen: dict[str, str] = {}
    while True:
        with connection.failures_named():
            run = client.get_run(run_id)
        for task in (run.run_details.task_details if run.run_details else None) or []:
            if task.display_name and task.state and seen.get(task.display_name) != task.state:
                seen[task.display_name] = task.state
                log.info("%s: %s", task.display_name, task.state)
        if run.state in ENDED:
            return str(run.state)
        time.sleep(seconds)


def address(connection: Connection, run_id: str) -> str:
    return f"{connection.host.rstrip('/')}/#/runs/details/{run_id}"


def _uploaded(client: kfp.Client, connection: Connection, request: Request) -> dict[str, Any]:
    """The ids of the pipeline and of its version that says what this request's pipeline says."""
    with tempfile.TemporaryDirectory() as folder:
        package = Path(folder) / f"{request.name}.yaml"
        version = compile_to(request.pipeline(), package)[:12]
        pipeline = _find_pipeline(client, connection, request.name)
        if pipeline is None:
            pipeline = client.upload_pipeline(str(package), request.name, namespace=connection.namespace or None)
        pipeline_id = str(pipeline.pipeline_id)
        listed = client.list_pipeline_versions(pipeline_id, page_size=100, sort_by="created_at desc")
        for known in listed.pipeline_versions or []:
            if known.display_name == version:
                return {"pipeline_id": pipeline_id, "version_id": known.pipeline_version_id}
        made = client.upload_pipeline_version(str(package), version, pipeline_id=pipeline_id)
        return {"pipeline_id": pipeline_id, "version_id": made.pipeline_version_id}


def _find_pipeline(client: kfp.Client, connection: Connection, name: str) -> V2beta1Pipeline | None:
    # The client's own get_pipeline_id looks in no namespace.
    wanted = {"predicates": [{"operation": "EQUALS", "key": "display_name", "stringValue": name}]}
    found = client.list_pipelines(filter=json.dumps(wanted), namespace=connection.namespace or None).pipelines
    return found[0] if found else None


def _line(text: str) -> str:
    return " ".join(text.split())[:300]
