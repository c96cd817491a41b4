"""Moves the alias `champion` so that of two who move it at the same moment one is refused, on whatever machines.

MLflow sets an alias unconditionally, and numbers versions atomically. So the right to replace a champion is a version:
each names in the tag `after` the version that it replaces, and the lowest number with the same tag has the right; all
others are refused. An alias never returns to an old number, since going back to a version registers it once more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from components.errors import UserError
from components.tracking.mlflow_client import failures_named
from components.tracking.registry import ALIAS, champion_version

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

AFTER = "after"


def after(current: ModelVersion | None) -> str:
    """The tag of a version that would replace the current champion."""
    return str(current.version) if current else "none"


def number(version: ModelVersion) -> int:
    return int(version.version)


def make_model(mlflow: MlflowClient, lab: str) -> None:
    """Makes the registered model, where nobody else has."""
    from mlflow.exceptions import MlflowException

    try:
        mlflow.create_registered_model(lab)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


def next_version(mlflow: MlflowClient, lab: str, current: ModelVersion | None) -> int | None:
    """Number of the version that has the right to replace the current champion, None where there is none yet."""
    with failures_named():
        same = mlflow.search_model_versions(f"name = '{lab}' and tags.{AFTER} = '{after(current)}'")
    return min(map(number, same), default=None)


def register_again(mlflow: MlflowClient, version: ModelVersion, current: ModelVersion | None) -> ModelVersion:
    """A new version of the same artifacts, to replace the current champion."""
    tags = {name: value for name, value in version.tags.items() if name != "promotion"}
    tags |= {AFTER: after(current), "rolled_back_to": str(version.version)}
    with failures_named():
        return mlflow.create_model_version(version.name, str(version.source), version.run_id, tags)


def move(mlflow: MlflowClient, version: ModelVersion, current: ModelVersion | None) -> None:
    """Moves the alias from the current champion to a version. Raises UserError where it is another's to move."""
    lab = version.name
    if (first := next_version(mlflow, lab, current)) != number(version):
        raise UserError(
            f"version {first} of {lab} was registered first to replace the same champion: run gate again once it is "
            f"the champion; if its promotion was killed, `python -m components rollback {lab} {first}` finishes it"
        )
    if after(champion_version(mlflow, lab)) == after(current):
        with failures_named():
            mlflow.set_registered_model_alias(lab, ALIAS, str(version.version))
    if after(champion_version(mlflow, lab)) != str(version.version):
        raise UserError(f"somebody else moved the champion of {lab} at the same moment: run gate again")
