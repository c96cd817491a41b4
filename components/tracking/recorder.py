"""What uploads of journals ask of MLflow, and the two ways to it: MLflow's own client, or its server's REST API.

Importing MLflow takes seconds of a processor, as long as a small step itself; a server needs a handful of requests. So
a task that only leaves its journal with a server speaks to it directly (`components.tracking.rest`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol

from components.settings import settings
from components.tracking.mlflow_client import database

if TYPE_CHECKING:
    from mlflow import MlflowClient

EXPERIMENT = "labs"
DIGEST_LENGTH = 36
"""MLflow takes no longer digest of a dataset; the version of data with pretrained weights is longer."""


@dataclass(frozen=True)
class Recorded:
    """A run as MLflow has it. start, end: milliseconds since 1970; end is None while it runs."""

    run_id: str
    status: str
    start: int
    end: int | None
    tags: Mapping[str, str]
    metrics: Mapping[str, float]


class Measured(NamedTuple):
    """A metric. time: milliseconds since 1970."""

    name: str
    value: float
    time: int
    step: int


class Recorder(Protocol):
    """Runs of the experiment that all runs are in. Everything raises MlflowError."""

    def search(self, condition: str) -> list[Recorded]:
        """Runs that meet a condition, newest first."""
        ...

    def create(self, name: str, tags: Mapping[str, str], start: int | None = None) -> str: ...
    def log_params(self, run_id: str, params: Mapping[str, str]) -> None: ...
    def log_metrics(self, run_id: str, metrics: Sequence[Measured]) -> None: ...
    def log_dataset(self, run_id: str, name: str, digest: str) -> None: ...
    def log_artifacts(self, run_id: str, folder: Path) -> None: ...
    def artifacts(self, run_id: str, wanted: Sequence[str]) -> dict[str, str]:
        """Those of the text files at the top of a run's artifacts that are there."""
        ...

    def set_tag(self, run_id: str, name: str, value: str) -> None: ...
    def end(self, run_id: str, status: str, time: int | None = None) -> None: ...


class ClientRecorder:
    """By MLflow's own client: for databases, and for servers whose artifacts or logins are not the server's own."""

    def __init__(self, mlflow: MlflowClient) -> None:
        self._mlflow = mlflow
        self._experiment = ""

    @property
    def experiment(self) -> str:
        """MLflow's id of the experiment; it is made where there is none."""
        if not self._experiment:
            found = self._mlflow.get_experiment_by_name(EXPERIMENT)
            if found is None:
                file = database(settings().mlflow_tracking_uri)
                place = str(file.absolute().parent / "mlartifacts") if file else None
                self._experiment = self._mlflow.create_experiment(EXPERIMENT, place)
            else:
                self._experiment = str(found.experiment_id)
        return self._experiment

    def search(self, condition: str) -> list[Recorded]:
        order = ["attributes.start_time DESC"]
        return [
            Recorded(
                run.info.run_id,
                run.info.status,
                run.info.start_time,
                run.info.end_time,
                run.data.tags,
                run.data.metrics,
            )
            for run in self._mlflow.search_runs([self.experiment], condition, order_by=order)
        ]

    def create(self, name: str, tags: Mapping[str, str], start: int | None = None) -> str:
        return str(self._mlflow.create_run(self.experiment, start, dict(tags), name).info.run_id)

    def log_params(self, run_id: str, params: Mapping[str, str]) -> None:
        from mlflow.entities import Param

        self._mlflow.log_batch(run_id, params=[Param(name, value) for name, value in params.items()])

    def log_metrics(self, run_id: str, metrics: Sequence[Measured]) -> None:
        from mlflow.entities import Metric

        self._mlflow.log_batch(run_id, [Metric(*one) for one in metrics])

    def log_dataset(self, run_id: str, name: str, digest: str) -> None:
        from mlflow.entities import Dataset, DatasetInput, InputTag

        dataset = Dataset(name, digest[:DIGEST_LENGTH], source_type="dvc", source=digest)
        self._mlflow.log_inputs(run_id, [DatasetInput(dataset, [InputTag("mlflow.data.context", "input")])])

    def log_artifacts(self, run_id: str, folder: Path) -> None:
        self._mlflow.log_artifacts(run_id, str(folder))

    def artifacts(self, run_id: str, wanted: Sequence[str]) -> dict[str, str]:
        from mlflow.artifacts import load_text

        place = self._mlflow.get_run(run_id).info.artifact_uri
        names = {file.path for file in self._mlflow.list_artifacts(run_id)}
        return {name: load_text(f"{place}/{name}") for name in wanted if name in names}

    def set_tag(self, run_id: str, name: str, value: str) -> None:
        self._mlflow.set_tag(run_id, name, value)

    def end(self, run_id: str, status: str, time: int | None = None) -> None:
        self._mlflow.set_terminated(run_id, status, time)
