"""What every API says of its model and of its refusals, as types: OpenAPI is made of them."""

from __future__ import annotations

from typing import Self

from pydantic import BaseModel, Field

from components.config import Limits
from components.promoted import Served
from components.records import Provenance


class Origin(BaseModel):
    """Which model made an answer, down to the commit and the data."""

    model_digest: str
    variant: str = Field(description="of the model's graphs, such as float or int8")
    promoted: bool = Field(description="false: it has passed no gate, and is served because somebody asked for it")
    mlflow_run: str = Field(description="the run that registered it; empty if none did")
    provenance: Provenance

    @classmethod
    def of(cls, served: Served, **details: object) -> Self:
        return cls(
            model_digest=served.bundle.digest,
            variant=served.variant,
            promoted=not served.unpromoted,
            mlflow_run=served.promotion.mlflow_run or "" if served.promotion else "",
            provenance=served.bundle.manifest.provenance,
            **details,
        )

    def headers(self) -> dict[str, str]:
        """Put on every answer."""
        return {
            "x-model-digest": self.model_digest,
            "x-promoted": str(self.promoted).lower(),
            "x-git-commit": self.provenance.git_commit,
            "x-data-version": self.provenance.data_version,
            "x-data-profile": self.provenance.data_profile,
            "x-params-hash": self.provenance.params_hash,
            "x-mlflow-run": self.mlflow_run,
        }


class Info(BaseModel):
    model: Origin
    spec: dict[str, object] = Field(description="the model's own facts: layers, sizes, vocabulary")
    providers: list[str] = Field(description="what onnxruntime runs on")
    limits: dict[str, int | float]
    metrics: dict[str, float] = Field(description="what evaluation measured on held-out data; empty if it was not")
    limitations: list[str] = Field(description="where it falls short, as evaluation measured it")

    @classmethod
    def of(cls, served: Served, limits: Limits, providers: list[str], **details: object) -> Self:
        """details: the fields that an API adds, and `model` where it says more of it than every API does."""
        evaluation = served.evaluation
        return cls(
            **{
                "model": Origin.of(served),
                "spec": served.bundle.spec,
                "providers": providers,
                "limits": limits.model_dump(),
                "metrics": evaluation.metrics if evaluation else {},
                "limitations": list(evaluation.limitations) if evaluation else [],
                **details,
            }
        )


class FieldError(BaseModel):
    field: str = Field(description="path of the field in the request", examples=["temperature"])
    reason: str


class Problem(BaseModel):
    """RFC 9457."""

    title: str
    status: int
    detail: str
    errors: list[FieldError]
    request_id: str
