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

from components.errors import UserError
from components.files import output_folder, sha256_file
from components.promoted import read_served
from components.records import Champion, Decision, Verdict, read_record
from components.settings import settings
from components.signing import ATTESTATION, read_attestation
from components.tracking.mlflow_client import MlflowError, connect, database, failures_named

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

log = logging.getLogger(__name__)

ALIAS = "champion"
URI = re.compile(r"models:/(?P<name>[\w.-]+)(@(?P<alias>[\w.-]+)|/(?P<version>\d+))")


def champion(lab: str) -> Champion | None:
    """The champion and what its signed decision says of it, None when there is none. Raises MlflowError.

    One that is not signed, or promoted by an older version of this code, is not readable: nothing is compared with it.
    """
    mlflow = connect()
    version = champion_version(mlflow, lab)
    if version is None:
        return None
    try:
        decision = _signed_decision(mlflow, version)
    except MlflowError:
        raise
    except UserError as error:
        log.warning("champion version %s of %s cannot be compared with: %s", version.version, lab, error)
        digest = version.tags["model_digest"]
        return Champion(version=str(version.version), model_digest=digest, data_version="", metrics={}, readable=False)
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
        raise UserError(
            f"{uri}: there is no {file} here; `make repro` or `make pull` makes a champion, or set MLFLOW_TRACKING_URI"
        )
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

    Every byte and the signature are checked before `into` is touched. Raises UserError when the registry has no such
    model, sends another, or one that does not count as promoted (unless SERVE_ALLOW_UNPROMOTED); BundleError when it is
    damaged; MlflowError on an outage.
    """
    mlflow = connect()
    with failures_named():
        found = mlflow.search_model_versions(f"name = '{lab}' and tags.model_digest = '{digest}'")
    if not found:
        raise UserError(f"{settings().mlflow_tracking_uri} has no model of {lab} with the digest {digest}")
    newest = max(found, key=lambda version: int(version.version))
    with tempfile.TemporaryDirectory() as temporary:
        source = download(mlflow, newest, Path(temporary))
        served = read_served(source)
        if served.bundle.digest != digest:
            raise UserError(
                f"{lab} version {newest.version} is not {digest}, as its tag says: it was changed afterwards"
            )
        if served.unpromoted and not settings().serve_allow_unpromoted:
            raise UserError(f"{lab} version {newest.version} does not count as promoted: {served.unpromoted}")
        with output_folder(into) as folder:
            shutil.copytree(source, folder, dirs_exist_ok=True)
    return into


def verdict_of(lab: str, digest: str) -> Verdict | None:
    """What the gate said of the model of `lab` with this digest when it was promoted; None where no signature says so.

    Raises MlflowError on an outage.
    """
    mlflow = connect()
    with failures_named():
        found = mlflow.search_model_versions(f"name = '{lab}' and tags.model_digest = '{digest}'")
    newest = max(found, key=lambda version: int(version.version), default=None)
    if newest is None:
        return None
    try:
        decision = _signed_decision(mlflow, newest)
    except MlflowError:
        raise
    except UserError as error:
        log.warning("what was said of version %s of %s does not count: %s", newest.version, lab, error)
        return None
    return decision.verdict if decision.model_digest == digest else None


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


def _signed_decision(mlflow: MlflowClient, version: ModelVersion) -> Decision:
    """A version's decision.json, as it was signed. Raises UserError where it was not; MlflowError on an outage."""
    if "signed_by" not in version.tags:
        raise UserError("it was promoted without a signature")
    with tempfile.TemporaryDirectory() as folder:
        signed = read_attestation(download(mlflow, version, Path(folder), ATTESTATION))
        path = download(mlflow, version, Path(folder), "decision.json")
        if signed.get(path.name) != sha256_file(path):
            raise UserError("its decision.json was changed after it was signed")
        return read_record(path, Decision)


def _version_by_alias(mlflow: MlflowClient, lab: str, alias: str) -> ModelVersion | None:
    from mlflow.exceptions import MlflowException

    with failures_named():
        try:
            return mlflow.get_model_version_by_alias(lab, alias)
        except MlflowException as error:
            if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                return None
            raise
