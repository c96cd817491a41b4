"""What uploads of journals ask of an MLflow server, over its REST API: https://mlflow.org/docs/latest/rest-api.html.

Files go through the server, as MLflow's own client sends them where the server proxies its store.
"""

from __future__ import annotations

import base64
import json
import math
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote, urlencode

from components.settings import settings
from components.tracking.journal import milliseconds
from components.tracking.mlflow_client import RETRIES, TIMEOUT, unreachable
from components.tracking.recorder import DIGEST_LENGTH, EXPERIMENT, Measured, Recorded

API = "api/2.0/mlflow"
FILES = "api/2.0/mlflow-artifacts/artifacts"
PROXIED = "mlflow-artifacts:/"
"""What the address of an experiment's artifacts begins with where the server takes them itself."""
PAGE = 1000
PASSING = (429, 500, 502, 503, 504)
"""What MLflow's own client asks again after, too."""


@dataclass(frozen=True)
class RestRecorder:
    """A server at an address (http only: certificates have their own settings in MLflow's client)."""

    address: str
    headers: Mapping[str, str]
    experiment: str
    place: str
    """Path of the experiment's artifacts, below the server's."""

    @classmethod
    def for_settings(cls) -> Self | None:
        """The server that MLFLOW_TRACKING_URI names; None where only MLflow's own client gets in."""
        given = settings()
        own_login = given.mlflow_tracking_auth or given.mlflow_tracking_aws_sigv4
        if not given.mlflow_tracking_uri.startswith("http://") or own_login or _credentials_file().exists():
            return None
        login = {}
        if given.mlflow_tracking_username and given.mlflow_tracking_password:
            pair = f"{given.mlflow_tracking_username}:{given.mlflow_tracking_password}".encode()
            login["Authorization"] = f"Basic {base64.b64encode(pair).decode()}"
        elif given.mlflow_tracking_token:
            login["Authorization"] = f"Bearer {given.mlflow_tracking_token}"
        address = given.mlflow_tracking_uri.rstrip("/")
        found = cls(address, login, "", "")._experiment()
        location = str(found["artifact_location"])
        if not location.startswith(PROXIED):
            return None
        return cls(address, login, str(found["experiment_id"]), location.removeprefix(PROXIED).strip("/"))

    def search(self, condition: str) -> list[Recorded]:
        return [_recorded(run) for run in self._search(condition)]

    def _search(self, condition: str) -> Iterator[dict[str, Any]]:
        wanted = {"experiment_ids": [self.experiment], "filter": condition, "max_results": PAGE}
        wanted["order_by"] = ["attributes.start_time DESC"]
        while True:
            answer = self._post("runs/search", wanted)
            yield from answer.get("runs", ())
            if not answer.get("next_page_token"):
                return
            wanted["page_token"] = answer["next_page_token"]

    def create(self, name: str, tags: Mapping[str, str], start: int | None = None) -> str:
        begun = milliseconds() if start is None else start
        wanted = {"experiment_id": self.experiment, "run_name": name, "start_time": begun, "tags": _pairs(tags)}
        return str(self._post("runs/create", wanted)["run"]["info"]["run_id"])

    def log_params(self, run_id: str, params: Mapping[str, str]) -> None:
        self._post("runs/log-batch", {"run_id": run_id, "params": _pairs(params)})

    def log_metrics(self, run_id: str, metrics: Sequence[Measured]) -> None:
        values = [
            {"key": one.name, "value": _number(one.value), "timestamp": one.time, "step": one.step} for one in metrics
        ]
        self._post("runs/log-batch", {"run_id": run_id, "metrics": values})

    def log_dataset(self, run_id: str, name: str, digest: str) -> None:
        dataset = {"name": name, "digest": digest[:DIGEST_LENGTH], "source_type": "dvc", "source": digest}
        tags = _pairs({"mlflow.data.context": "input"})
        self._post("runs/log-inputs", {"run_id": run_id, "datasets": [{"dataset": dataset, "tags": tags}]})

    def log_artifacts(self, run_id: str, folder: Path) -> None:
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            self._ask("PUT", self._file(run_id, path.relative_to(folder).as_posix()), path.read_bytes())

    def artifacts(self, run_id: str, wanted: Sequence[str]) -> dict[str, str]:
        query = urlencode({"path": f"{self.place}/{run_id}/artifacts"})
        listed = json.loads(self._ask("GET", f"{FILES}?{query}")) if wanted else {}
        names = {str(file["path"]) for file in listed.get("files", ())}
        return {name: self._ask("GET", self._file(run_id, name)).decode() for name in wanted if name in names}

    def set_tag(self, run_id: str, name: str, value: str) -> None:
        self._post("runs/set-tag", {"run_id": run_id, "key": name, "value": value})

    def end(self, run_id: str, status: str, time: int | None = None) -> None:
        self._post("runs/update", {"run_id": run_id, "status": status, "end_time": time or milliseconds()})

    def _experiment(self) -> dict[str, Any]:
        """The experiment that all runs are in; it is made where there is none."""
        path = f"{API}/experiments/get-by-name?{urlencode({'experiment_name': EXPERIMENT})}"
        try:
            answer = self._ask("GET", path, missing_raises=True)
        except FileNotFoundError:
            self._post("experiments/create", {"name": EXPERIMENT})
            answer = self._ask("GET", path)
        found: dict[str, Any] = json.loads(answer)["experiment"]
        return found

    def _file(self, run_id: str, name: str) -> str:
        return f"{FILES}/{quote(f'{self.place}/{run_id}/artifacts/{name}')}"

    def _post(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        answer: dict[str, Any] = json.loads(self._ask("POST", f"{API}/{path}", json.dumps(body).encode()) or b"{}")
        return answer

    def _ask(self, method: str, path: str, body: bytes | None = None, missing_raises: bool = False) -> bytes:
        """One request, repeated after an answer that may pass. Raises MlflowError; FileNotFoundError if asked to."""
        kind = "application/json" if path.startswith(API) else "application/octet-stream"
        headers = {**self.headers, "Content-Type": kind}
        request = urllib.request.Request(  # noqa: S310 - scheme checked
            f"{self.address}/{path}", data=body, headers=headers, method=method
        )
        for attempt in range(RETRIES + 1):
            try:
                with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:  # noqa: S310 - scheme checked
                    return bytes(answer.read())
            except urllib.error.HTTPError as error:
                if error.code == 404 and missing_raises:
                    raise FileNotFoundError(path) from None
                if error.code not in PASSING or attempt == RETRIES:
                    raise unreachable(error) from None
            except OSError as error:
                if attempt == RETRIES:
                    raise unreachable(error) from None
            time.sleep(2**attempt)
        raise AssertionError("the last attempt returns or raises")


def _credentials_file() -> Path:
    """Where MLflow's client finds a login that no variable names."""
    return Path.home() / ".mlflow" / "credentials"


def _recorded(run: Mapping[str, Any]) -> Recorded:
    info, data = run["info"], run.get("data", {})
    return Recorded(
        run_id=info["run_id"],
        status=info["status"],
        start=int(info["start_time"]),
        end=int(info["end_time"]) if info.get("end_time") else None,
        tags={tag["key"]: tag["value"] for tag in data.get("tags", ())},
        metrics={metric["key"]: float(metric["value"]) for metric in data.get("metrics", ())},
    )


def _pairs(values: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"key": name, "value": value} for name, value in values.items()]


def _number(value: float) -> float | str:
    """As protocol buffers write numbers in JSON, which has none that is not finite."""
    if math.isnan(value):
        return "NaN"
    return value if math.isfinite(value) else "Infinity" if value > 0 else "-Infinity"
