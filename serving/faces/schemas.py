"""What the faces API answers, as types: OpenAPI is made of them."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field

from components.records import Requirement
from serving.core.schemas import Info, Origin

Standing = Literal["PASS", "WAIVED", "FAIL", "INSUFFICIENT", "NONE"]


class AuditedOrigin(Origin):
    audit: Standing = Field(
        description="what the audit says of this very model; WAIVED: it fails, and somebody answers for it until a "
        "day. NONE: there is no audit, or not one that its promotion was decided on"
    )

    def headers(self) -> dict[str, str]:
        return {**super().headers(), "x-audit": self.audit}


class Classification(BaseModel):
    is_face: bool = Field(description="whether the probability is above the audited threshold")
    probability: float = Field(ge=0, le=1, description="that this is a face", examples=[0.998])


class ClassifyAnswer(Classification):
    threshold: float = Field(description="probability above which it is called a face, as evaluation froze it")
    model: AuditedOrigin


class ClassifyBatchAnswer(BaseModel):
    results: list[Classification] = Field(description="in the order of the files")
    threshold: float
    model: AuditedOrigin


class Face(BaseModel):
    left: float = Field(description="pixels from the left edge of the photograph, upright")
    top: float
    right: float
    bottom: float
    score: float = Field(description="probability that this is a face", examples=[0.998])


class Detection(BaseModel):
    faces: list[Face] = Field(description="the surest first")
    width: int = Field(description="of the photograph, upright, in pixels")
    height: int


class DetectAnswer(Detection):
    threshold: float = Field(description="score above which a box is drawn, as evaluation chose it")
    model: AuditedOrigin


class DetectBatchAnswer(BaseModel):
    results: list[Detection] = Field(description="in the order of the files")
    threshold: float
    model: AuditedOrigin


class AuditAnswer(BaseModel):
    verdict: Standing = Field(description="PASS, or WAIVED with a date; anything else is served by name only")
    waived_until: str | None = Field(description="last day of a waiver")
    requirements: list[Requirement] = Field(description="what was asked of the model, and the answers")
    decision: list[str] = Field(description="the gate's reasons, worst first")
    metrics: dict[str, float]
    recall: float | None = Field(description="share of the audit's faces that it finds; null if it was not measured")
    false_positive_rate: float | None = Field(description="share of the audit's crops without a face that it calls one")
    worst_group: WorstGroup | None = Field(description="the perceived group whose faces it finds least")
    report: str = Field("audit", description="where everything is, for people: this address, asked for as text/html")
    card: str = Field("card", description="where the model card is, as Markdown")
    model: AuditedOrigin


class WorstGroup(BaseModel):
    """Groups are perceived and annotator-assigned."""

    attribute: str = Field(examples=["race"])
    name: str
    recall: float
    low: float = Field(description="lower end of the interval")
    high: float


class FacesInfo(Info):
    model: AuditedOrigin
    threshold: float = Field(description="probability above which a crop is called a face")
    detection_threshold: float = Field(description="score above which a box is drawn on a photograph")


AuditAnswer.model_rebuild()
