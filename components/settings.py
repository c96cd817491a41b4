"""Environment variables: the only place where they are read."""

import os
import sys
from functools import cache
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from pydantic import BeforeValidator, Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from components.errors import UserError


class Settings(BaseSettings):
    """What the surroundings decide. Numbers that tune a model are in params.yaml instead."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", env_ignore_empty=True)

    data_remote: str | None = None
    """DVC remote that a cluster's first task brings the data from."""
    data_mirror: str | None = None
    """Folder or address that holds copies of the datasets."""
    mlflow_tracking_uri: str = "sqlite:///mlflow.db"
    """Where runs and models are recorded."""
    mlflow_tracking_username: str | None = None
    mlflow_tracking_password: str | None = None
    mlflow_tracking_token: str | None = None
    mlflow_tracking_auth: str | None = None
    mlflow_tracking_aws_sigv4: str | None = None
    """Logins to an MLflow server, under MLflow's own names; the last two only its own client knows."""
    omp_num_threads: str | None = None
    """Threads of each process that computes, under OpenMP's own name; by default as many as there are cores."""
    repro_run: str | None = None
    """MLflow run that the steps of one `make repro` belong to."""
    checkpoints: str | None = None
    """Folder that outlives a task, for training's checkpoints."""
    journals: str | None = None
    """Folder that outlives a task, for journals of runs; see tracking.py."""
    signing_key: str | None = None
    """What promote signs with: a file in PEM, or a key of a service, such as awskms:alias/labs. By default this
    machine's own."""
    signing_public_keys: Path | None = None
    """Whose signatures count: a file, or a folder of *.pub. By default this machine's own."""
    pip_find_links: Path | None = None
    """A folder with builds of packages that pip takes before the package index's, under pip's own name."""
    git_commit: str | None = None
    """Commit of the code where there is no repository, as in an image."""
    rank: int = Field(0, ge=0)
    """Number of this process among those that train together; torchrun sets all three."""
    world_size: int = Field(1, ge=1)
    local_world_size: int = Field(1, ge=1)
    """Number of them on this machine."""
    kubeflow_host: str | None = None
    """Address of Kubeflow Pipelines."""
    kubeflow_namespace: str | None = None
    """Namespace of a multi-user Kubeflow."""
    kubeflow_token: str | None = None
    """Bearer token; not an option, which others could read."""
    kubeflow_cookie: str | None = None
    """Session cookies of a gateway with a login, as a browser sends them: name=value, with "; " between them."""
    kubeflow_ca_cert: Path | None = None
    """Certificates, in PEM, that Kubeflow's own is signed with, in place of those that are known."""
    ml_pipeline_service_host: str | None = None
    """Kubeflow's API, as Kubernetes tells pods beside it."""
    ml_pipeline_service_port_http: int = 8888
    log_level: Annotated[Literal["DEBUG", "INFO", "WARNING", "ERROR"], BeforeValidator(str.upper)] = "INFO"
    no_color: str | None = None
    onnx_device: Literal["cpu", "cuda"] = "cpu"
    """Where onnxruntime runs exported models."""

    serve_api: str = ""
    """Which API a serving image runs."""
    serve_bundle: str = ""
    """A folder or models:/<lab>@<alias>; by default the champion."""
    serve_shadow: str = ""
    """A second bundle, which sees some of the requests and answers none; see serving/core/shadow.py."""
    serve_host: str = "127.0.0.1"
    serve_port: int = Field(3000, ge=0, le=65535)
    serve_allow_unpromoted: bool = False
    serve_api_keys: str = ""
    """A file with hashes of the API keys of clients; by default everybody may ask."""


def send_no_telemetry() -> None:
    """Keeps BentoML and OpenTelemetry from reporting use, where the environment is silent. Before their import."""
    os.environ.setdefault("BENTOML_DO_NOT_TRACK", "True")
    os.environ.setdefault("OTEL_SDK_DISABLED", "true")


def wait_passively() -> None:
    """Lets threads that wait for each other sleep, unless OMP_WAIT_POLICY says otherwise. Before torch is imported.

    They spin by default, and beside another busy process they then keep the core from the thread that they wait for:
    the training of `chat` took 9 times as long. `python -m benchmarks.busy_training` measures it on another lab.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")


@cache
def settings() -> Settings:
    """Read once. Raises UserError naming the variable whose value cannot be used."""
    try:
        return Settings()
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0]).upper()
        raise UserError(f"{name} is {first['input']!r}: {first['msg'][0].lower()}{first['msg'][1:]}") from None


def path_with_this_python() -> str:
    """PATH with this Python's folder first: so that a command named `python` is this one."""
    return f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"


def proxy_for(address: str) -> str:
    """The proxy that HTTP_PROXY, HTTPS_PROXY and NO_PROXY name for an address; "" where none is in the way."""
    parts = urlsplit(address)
    return "" if proxy_bypass(parts.netloc) else getproxies().get(parts.scheme, "")


def draw_without_display() -> None:
    """Tells SDL, which draws some games, to look for no display and no sound; what the environment says goes first.

    pygame then greets nobody, either.
    """
    for name in ("SDL_VIDEODRIVER", "SDL_AUDIODRIVER"):
        os.environ.setdefault(name, "dummy")
    os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")


def local_keys() -> Path:
    """Folder of this machine's own pair of signing keys: outside every project, and so of every image and commit."""
    return Path.home() / ".config" / "deep-learning-labs"


def project_root() -> Path:
    """The folder that holds params.yaml: every default path hangs below it."""
    return Path(__file__).resolve().parent.parent
