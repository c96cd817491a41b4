"""The model registry: promoted bundles are versions of the registered model `<lab>`; `champion` is an alias of one.

A version is a plain folder of artifacts: nothing in it is pickled, and whoever downloads it verifies it as a bundle.
"""

from __future__ import annotations

import logging
import re
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from components.bundle import Bundle
from components.errors import UserError
from components.files import output_folder
from components.records import Champion, Decision, Verdict, read_record
from components.settings import settings
from components.tracking.mlflow_client import connect, database, failures_named

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

log = logging.getLogger(__name__)

ALIAS = "champion"
URI = re.compile(r"models:/(?P<name>[\w.-]+)(@(?P<alias>[\w.-]+)|/(?P<version>\d+))")


def champion(lab: str) -> Champion | None:
    """The champion and what its decision says of it, None when there is none. Raises MlflowError.

    One that an older version of this code promoted is not readable: nothing is compared with it.
    """
    mlflow = connect()
    version = champion_version(mlflow, lab)
    if version is None:
        return None
    with tempfile.TemporaryDirectory() as folder:
        path = download(mlflow, version, Path(folder), "decision.json")
        try:
            decision = read_record(path, Decision)
        except UserError as error:
            log.warning("champion version %s of %s cannot be compared with: %s", version.version, lab, error)
            digest = version.tags["model_digest"]
            return Champion(
                version=str(version.version), model_digest=digest, data_version="", metrics={}, readable=False
            )
    return Champion(
        version=str(version.version),
        model_digest=decision.model_digest,
        data_version=decision.provenance.data_version,
        metrics=decision.metrics,
        reference_models=decision.reference_models,
    )


def champion_version(mlflow: MlflowClient, lab: str) -> ModelVersion | None:
    """The version that the alias points at, None when there is no such alias or model."""
    return _version_by_alias(mlflow, lab, ALIAS)


def fetch_model(uri: str, into: Path) -> Path:
    """Downloads `models:/<lab>@<alias>` or `models:/<lab>/<version>` and returns the folder `into`, replaced whole.

    The bundle in it is not verified here. Raises UserError when there is no such model; MlflowError on an outage.
    """
    match = URI.fullmatch(uri)
    if match is None:
        raise UserError(f"{uri} is no model's address: take models:/music@champion or models:/music/3")
    file = database(settings().mlflow_tracking_uri)
    if file is not None and not file.exists():
        raise UserError(f"{uri}: there is no {file} here; `make repro` makes a champion, or set MLFLOW_TRACKING_URI")
    mlflow = connect()
    name, alias = match["name"], match["alias"]
    version = _version_by_alias(mlflow, name, alias) if alias else get_version(mlflow, name, match["version"])
    if version is None:
        raise UserError(f"{uri}: {settings().mlflow_tracking_uri} has no such model; `make repro LAB={name}` makes one")
    with tempfile.TemporaryDirectory() as temporary, output_folder(into) as folder:
        shutil.copytree(download(mlflow, version, Path(temporary)), folder, dirs_exist_ok=True)
    return into


def fetch_digest(lab: str, digest: str, into: Path) -> Path:
    """Downloads the bundle of `lab` that was promoted under this digest; returns the folder `into`, replaced whole.

    Every byte is checked before `into` is touched. Raises UserError when the registry has no such model or sends
    another; BundleError when it is damaged; MlflowError on an outage.
    """
    mlflow = connect()
    with failures_named():
        found = mlflow.search_model_versions(f"name = '{lab}' and tags.model_digest = '{digest}'")
    if not found:
        raise UserError(f"{settings().mlflow_tracking_uri} has no model of {lab} with the digest {digest}")
    newest = max(found, key=lambda version: int(version.version))
    with tempfile.TemporaryDirectory() as temporary:
        source = download(mlflow, newest, Path(temporary))
        if Bundle.open(source).digest != digest:
            raise UserError(
                f"{lab} version {newest.version} is not {digest}, as its tag says: it was changed afterwards"
            )
        with output_folder(into) as folder:
            shutil.copytree(source, folder, dirs_exist_ok=True)
    return into


def verdict_of(lab: str, digest: str) -> Verdict | None:
    """What the gate said of the model of `lab` with this digest when it was promoted; None where it never was.

    Raises MlflowError on an outage.
    """
    mlflow = connect()
    with failures_named():
        found = mlflow.search_model_versions(f"name = '{lab}' and tags.model_digest = '{digest}'")
    newest = max(found, key=lambda version: int(version.version), default=None)
    return Verdict(newest.tags["verdict"]) if newest else None


def get_version(mlflow: MlflowClient, lab: str, version: str) -> ModelVersion | None:
    from mlflow.exceptions import MlflowException

    with failures_named():
        try:
            return mlflow.get_model_version(lab, version)
        except MlflowException as error:
            if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                return None
            raise


def download(mlflow: MlflowClient, version: ModelVersion, into: Path, file: str = "") -> Path:
    """Downloads a version's folder, or one file of it, below `into`; returns where it lies."""
    with failures_named():
        from mlflow.artifacts import download_artifacts

        source = mlflow.get_model_version_download_uri(version.name, version.version)
        address = f"{source}/{file}" if file else source
        return Path(download_artifacts(address, dst_path=str(into), tracking_uri=settings().mlflow_tracking_uri))


def _version_by_alias(mlflow: MlflowClient, lab: str, alias: str) -> ModelVersion | None:
    from mlflow.exceptions import MlflowException

    with failures_named():
        try:
            return mlflow.get_model_version_by_alias(lab, alias)
        except MlflowException as error:
            if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                return None
            raise
