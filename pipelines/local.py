"""A lab's pipeline on this machine, by Kubeflow's own local runner: each task in a process, or in a container."""

from __future__ import annotations

import logging
import os
import uuid
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from components.errors import UserError
from components.provenance import git_state
from components.settings import local_keys, settings
from components.signing_keys import local_key
from components.sources.catalogue import Profile
from components.sources.pin import cache_pinned, check_pin
from components.tracking.journal import JOURNALS
from components.tracking.mlflow_client import SQLITE, check_reachable, database

log = logging.getLogger(__name__)

ROOT = Path("build/kubeflow")


def environment(project: Path, dataset: str, profile: Profile, engine: str) -> dict[str, str]:
    """What stands in for the cluster's environment: this project's tracking, its commit and its data, from its cache.

    Raises UserError when the data is not what its pin says.
    """
    check_reachable()
    check_pin(project, dataset, profile)
    cache_pinned(project)
    uri = settings().mlflow_tracking_uri
    file = database(uri)
    commit, dirty = git_state(project)
    # A journal names its owner by process, and a container sees no other's processes: there each task uploads its own.
    journals = {"JOURNALS": str((project / JOURNALS).absolute())} if engine == "subprocess" else {}
    return journals | {
        "REPRO_RUN": uuid.uuid4().hex,
        "MLFLOW_TRACKING_URI": f"{SQLITE}{(project / file).absolute()}" if file else uri,
        "DATA_REMOTE": str((project / ".dvc" / "cache").absolute()),
        "SIGNING_KEY": settings().signing_key or str(local_key()),
        "SIGNING_PUBLIC_KEYS": str(settings().signing_public_keys or local_keys()),
        "CHECKPOINTS": str((project / ROOT / ".checkpoints").absolute()),
        "GIT_COMMIT": f"{commit}-dirty" if dirty else commit,
        "LOG_LEVEL": settings().log_level,
    }


def run(
    pipeline: Callable[..., Any], arguments: Mapping[str, Any], engine: str, project: Path, variables: Mapping[str, str]
) -> Path:
    """Runs the pipeline and returns its summary. variables: what `environment` gave.

    engine: subprocess, or docker, where each task's container sees this project's folder under its own path, has no
    network unless MLflow is a server, and runs as whoever calls. Raises UserError when a task fails.
    """
    from kfp import local

    root = (project / ROOT / variables["REPRO_RUN"]).absolute()
    root.mkdir(parents=True)
    for folder in (variables["CHECKPOINTS"], variables.get("JOURNALS")):
        if folder:
            Path(folder).mkdir(parents=True, exist_ok=True)
    warnings.filterwarnings("ignore", message="You may be attemping to run a task")  # the name of our image
    runner = _docker(project, variables) if engine == "docker" else local.SubprocessRunner(use_venv=False)
    # Its cache knows neither our code nor what is in a file: it would answer with yesterday's model.
    local.init(runner, pipeline_root=str(root), enable_caching=False)
    try:
        pipeline(**arguments)
    except RuntimeError as error:
        raise UserError(f"{' '.join(str(error).split())} The log above says why; outputs are in {root}") from None
    return next(root.glob("*/close-run/summary"))


def _docker(project: Path, variables: Mapping[str, str]) -> Any:
    import docker
    from docker.types import Mount
    from kfp import local

    try:
        docker.from_env().ping()
    except docker.errors.DockerException as error:
        raise UserError(f"no Docker engine answers: {' '.join(str(error).split())[:200]}") from None
    (project / ROOT).mkdir(parents=True, exist_ok=True)
    seen = [project.absolute(), *(Path(variables[name]) for name in ("SIGNING_KEY", "SIGNING_PUBLIC_KEYS"))]
    remote = database(variables["MLFLOW_TRACKING_URI"]) is None
    return local.DockerRunner(
        user=f"{os.getuid()}:{os.getgid()}",
        network_mode="bridge" if remote else "none",
        mounts=[Mount(str(path), str(path), type="bind", read_only=path != seen[0]) for path in seen if path.exists()],
        read_only=True,
        tmpfs={"/tmp": "exec"},  # noqa: S108 - the container's own
        shm_size="1g",
        cap_drop=["ALL"],
        security_opt=["no-new-privileges"],
    )
