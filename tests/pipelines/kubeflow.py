"""A server that speaks the REST of Kubeflow Pipelines 2.17, as far as the command line uses it.

What comes in is read, and what goes out is written, with the models that the project itself publishes. Two older
addresses that it still has are spoken as its source has them: a run with its Workflow, and the log of a pod.
"""

from __future__ import annotations

import json
import ssl
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import kfp_server_api as api
import yaml

from tests.pipelines.argo import BEGUN, Workflow

NAMESPACE, TOKEN = "team", "a-good-token"


@dataclass
class Look:
    """What a run answers when it is looked at. history: its states until then."""

    state: str
    workflow: Workflow = field(default_factory=Workflow)
    history: tuple[str, ...] = ()


@dataclass
class Kubeflow:
    """State of the installation. answers: what a run answers in turn, the last one for ever.

    logs: of pods, by their names. old_api: whether it still has the first version of its API. silent: how often its
    page server, which stands in front of its API server, does not reach that one.
    """

    host: str = ""
    multi_user: bool = True
    answers: list[Look] = field(default_factory=lambda: [Look("SUCCEEDED")])
    logs: dict[str, str] = field(default_factory=dict)
    old_api: bool = True
    silent: int = 0
    terminated: list[str] = field(default_factory=list)
    pipelines: list[Any] = field(default_factory=list)
    versions: list[Any] = field(default_factory=list)
    experiments: list[Any] = field(default_factory=list)
    runs: list[Any] = field(default_factory=list)
    recurring: list[Any] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    looks: int = 0
    cookie: str = ""
    """The session at the gateway in front, which then lets in nobody without it."""


class Refused(Exception):  # noqa: N818 - an answer, not a fault
    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@contextmanager
def kubeflow(multi_user: bool = True, certificate: Path | None = None) -> Iterator[Kubeflow]:
    """certificate: with its key, in PEM, of a gateway that speaks HTTPS."""
    state = Kubeflow(multi_user=multi_user)
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(state))
    state.host = f"http{'s' if certificate else ''}://127.0.0.1:{server.server_port}/pipeline"
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()


def _handler(state: Kubeflow) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            url = urlsplit(self.path)
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            state.requests.append(f"{self.command} {url.path}")
            by_cookie = bool(state.cookie) and self.headers.get("Cookie") == state.cookie
            if state.cookie and not by_cookie:
                self._log_in()
                return
            try:
                if state.multi_user and not by_cookie and self.headers.get("Authorization") != f"Bearer {TOKEN}":
                    raise Refused(401, "Request header error: there is no user identity header.")
                path = url.path.removeprefix("/pipeline/apis/v2beta1/").split("/")
                query = {name: values[0] for name, values in parse_qs(url.query).items()}
                status, answer = 200, _route(state, self.command, path, query, body)
            except Refused as refused:
                status, answer = refused.status, {"error": str(refused), "code": 7, "message": str(refused)}
            content = answer.encode() if isinstance(answer, str) else json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "text/plain" if isinstance(answer, str) else "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def _log_in(self) -> None:
            page = b"<!doctype html><title>Log in</title>"
            login = self.path.startswith("/dex/login")
            self.send_response(200 if login else 302)
            self.send_header("Location", "/dex/login")
            self.send_header("Content-Length", str(len(page)))
            self.end_headers()
            self.wfile.write(page)

        do_GET = do_POST = do_DELETE = _answer  # noqa: N815

        def log_message(self, *arguments: Any) -> None:
            pass

    return Handler


def _route(state: Kubeflow, method: str, path: list[str], query: dict[str, str], body: bytes) -> Any:
    match method, path:
        case "GET", ["healthz"]:
            return _health(state)
        case "GET", ["experiments"]:
            _allowed(state, query.get("namespace"))
            found = _filtered(state.experiments, query)
            return _json(api.V2beta1ListExperimentsResponse(experiments=found, total_size=len(found)))
        case "POST", ["experiments"]:
            experiment = _read(body, "V2beta1Experiment")
            _allowed(state, experiment.namespace)
            return _json(_added(state.experiments, experiment, experiment_id=_id()))
        case "GET", ["pipelines"]:
            return _json(api.V2beta1ListPipelinesResponse(pipelines=_filtered(state.pipelines, query)))
        case "POST", ["pipelines", "upload"]:
            _allowed(state, query.get("namespace"))
            pipeline = api.V2beta1Pipeline(display_name=query["name"], namespace=query.get("namespace"))
            _added(state.pipelines, pipeline, pipeline_id=_id())
            _version(state, pipeline.pipeline_id, query["name"], body)
            return _json(pipeline)
        case "POST", ["pipelines", "upload_version"]:
            return _json(_version(state, query["pipelineid"], query["name"], body))
        case "GET", ["pipelines", pipeline_id, "versions"]:
            found = [version for version in state.versions if version.pipeline_id == pipeline_id]
            return _json(api.V2beta1ListPipelineVersionsResponse(pipeline_versions=found))
        case "POST", ["runs"]:
            run = _read(body, "V2beta1Run")
            _known_version(state, run)
            return _json(_added(state.runs, run, run_id=_id(), state="PENDING", created_at=BEGUN))
        case "GET", ["runs"]:
            _allowed(state, query.get("namespace"))
            return _json(api.V2beta1ListRunsResponse(runs=state.runs[::-1][: int(query["page_size"])]))
        case "GET", ["runs", run_id]:
            return _json(_looked_at(state, _run(state, run_id)))
        case "POST", ["runs", run_id] if run_id.endswith(":terminate"):
            state.terminated.append(_run(state, run_id.removesuffix(":terminate")).run_id)
            return {}
        case "GET", ["", "pipeline", "apis", "v1beta1", "runs", run_id] if state.old_api:
            manifest = {"workflow_manifest": _answer(state).workflow.manifest()}
            return {"run": {"id": _run(state, run_id).run_id}, "pipeline_runtime": manifest}
        case "GET", ["", "pipeline", "k8s", "pod", "logs"] if query["podname"] in state.logs:
            return state.logs[query["podname"]]
        case "GET", ["recurringruns"]:
            found = [run for run in state.recurring if run.experiment_id == query.get("experiment_id")]
            return _json(api.V2beta1ListRecurringRunsResponse(recurring_runs=found))
        case "POST", ["recurringruns"]:
            recurring = _read(body, "V2beta1RecurringRun")
            _known_version(state, recurring)
            return _json(_added(state.recurring, recurring, recurring_run_id=_id(), status="ENABLED"))
        case "DELETE", ["recurringruns", run_id]:
            state.recurring = [run for run in state.recurring if run.recurring_run_id != run_id]
            return {}
    raise Refused(404, f"no such address: {method} {'/'.join(path)}")


def _health(state: Kubeflow) -> dict[str, Any]:
    """As frontend/server/handlers/healthz.ts answers: always 200, and only with what the API server told it in time."""
    if state.silent > 0:
        state.silent -= 1
        return {"buildDate": "", "frontendCommitHash": "", "frontendTagName": "2.17.0", "apiServerReady": False}
    told = {"apiServerTagName": "2.17.0", "apiServerMultiUser": state.multi_user, "multi_user": state.multi_user}
    return {"frontendTagName": "2.17.0", "apiServerReady": True, "pipelineStore": "database", **told}


def _allowed(state: Kubeflow, namespace: str | None) -> None:
    if state.multi_user and namespace != NAMESPACE:
        raise Refused(403, f"User 'me' is not authorized with reason: no access to namespace {namespace!r}")


def _filtered(items: list[Any], query: dict[str, str]) -> list[Any]:
    wanted = json.loads(query["filter"])["predicates"][0]["stringValue"] if query.get("filter") else None
    return [item for item in items if wanted in (None, item.display_name)]


def _version(state: Kubeflow, pipeline_id: str, name: str, form: bytes) -> Any:
    # A form with one file: what is between its headers and the last boundary.
    content = form.split(b"\r\n\r\n", 1)[1].rsplit(b"\r\n--", 1)[0]
    pipeline, platform = yaml.safe_load_all(content)
    spec = {"pipeline_spec": pipeline, "platform_spec": platform}
    version = api.V2beta1PipelineVersion(pipeline_id=pipeline_id, display_name=name, pipeline_spec=spec)
    return _added(state.versions, version, pipeline_version_id=_id())


def _known_version(state: Kubeflow, run: Any) -> None:
    reference = run.pipeline_version_reference
    known = {(version.pipeline_id, version.pipeline_version_id) for version in state.versions}
    if (reference.pipeline_id, reference.pipeline_version_id) not in known:
        raise Refused(404, "there is no such pipeline version")


def _run(state: Kubeflow, run_id: str) -> Any:
    for run in state.runs:
        if run.run_id == run_id:
            return run
    raise Refused(404, f"Run {run_id} not found")


def _answer(state: Kubeflow) -> Look:
    return state.answers[min(max(state.looks, 1), len(state.answers)) - 1]


def _looked_at(state: Kubeflow, run: Any) -> Any:
    state.looks += 1
    seen = _answer(state)
    run.state = seen.state
    run.run_details = api.V2beta1RunDetails(task_details=seen.workflow.details())
    run.state_history = [api.V2beta1RuntimeStatus(update_time=BEGUN, state=one) for one in seen.history]
    return run


def _added(items: list[Any], item: Any, **values: Any) -> Any:
    for name, value in values.items():
        setattr(item, name, value)
    items.append(item)
    return item


def _read(body: bytes, model: str) -> Any:
    # What the client itself does with an answer: unknown fields and wrong enumerations are found.
    return api.ApiClient()._ApiClient__deserialize(json.loads(body), model)


def _json(model: Any) -> Any:
    return api.ApiClient().sanitize_for_serialization(model)


def _id() -> str:
    return str(uuid.uuid4())
