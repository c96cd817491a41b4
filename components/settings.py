"""Environment variables: the only place where they are read."""

from functools import cache
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from components.errors import UserError


class Settings(BaseSettings):
    """What the surroundings decide. Numbers that tune a model are in params.yaml instead."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", env_ignore_empty=True)

    data_mirror: str | None = Field(None, description="folder or address that holds copies of the datasets")
    mlflow_tracking_uri: str = Field("sqlite:///mlflow.db", description="where runs and models are recorded")
    repro_run: str | None = Field(None, description="MLflow run that the steps of one `make repro` belong to")
    log_level: Annotated[Literal["DEBUG", "INFO", "WARNING", "ERROR"], BeforeValidator(str.upper)] = "INFO"
    no_color: str | None = None
    onnx_device: Literal["cpu", "cuda"] = Field("cpu", description="where onnxruntime runs exported models")

    serve_bundle: str = Field("models:/music@champion", description="a folder or models:/<lab>@<alias>")
    serve_host: str = "127.0.0.1"
    serve_port: int = Field(3000, ge=0, le=65535)
    serve_allow_unpromoted: bool = False


@cache
def settings() -> Settings:
    """Read once. Raises UserError naming the variable whose value cannot be used."""
    try:
        return Settings()
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0]).upper()
        raise UserError(f"{name} is {first['input']!r}: {first['msg'][0].lower()}{first['msg'][1:]}") from None


def project_root() -> Path:
    """The folder that holds params.yaml: every default path hangs below it."""
    return Path(__file__).resolve().parent.parent
