"""params.yaml as frozen models: a typo, a wrong type or a value out of range is one line that names the key."""

import copy
import difflib
import json
from collections.abc import Iterable
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from components.errors import UserError
from components.labs import LABS, find
from components.sources.catalogue import FOLDERS, Profile

STEP_SECTIONS = ("prepare", "export", "evaluate", "audit", "gate", "serve")
"""Sections beside the lab's own: each is keyed by lab, so that changing a gate does not retrain a model."""
COMMON = ("data", "pipelines")
"""Sections of no lab. `pipelines` says how a cluster runs the steps, and is checked by the package of that name."""

Model = TypeVar("Model", bound=BaseModel)

Width = Annotated[int, Field(ge=1, le=4096)]
"""Numbers, or channels, of a layer."""
Decay = Annotated[float, Field(ge=0, lt=1)]
"""Share of a running mean that a step keeps."""


class Section(BaseModel):
    """A part of params.yaml: no unknown keys, no changes after reading."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class Data(Section):
    folder: Literal["data", "data.starter"] = Field(description="data: the course profile; data.starter: the starter")

    @property
    def profile(self) -> Profile:
        return next(profile for profile, folder in FOLDERS.items() if folder == self.folder)


class Limits(Section):
    """What bounds a request of any API; a lab's Serve adds its own."""

    request_seconds: float = Field(gt=0, description="time an answer may take, waiting included; then 503")
    body_bytes: int = Field(ge=1024, description="largest request body; a larger one is refused unread")
    body_seconds: float = Field(gt=0, description="time a request body may take to arrive")
    held_bytes: int = Field(ge=1024, description="bodies of all requests together; beyond it 429")
    retry_after_seconds: int = Field(ge=1, description="what a refused client is told to wait")
    drain_seconds: float = Field(ge=0, description="after SIGTERM, time for what is running to finish")


class Bound(Section):
    """What a metric must reach, and how far it may fall behind the champion, both in the metric's own unit.

    Either `min` (higher is better) or `max` (lower is better). `min_count`: items it must have been measured over.
    """

    min: float | None = None
    max: float | None = None
    max_regression: float | None = Field(None, ge=0)
    min_count: int = Field(0, ge=0)

    @model_validator(mode="after")
    def _one_direction(self) -> Self:
        if (self.min is None) == (self.max is None):
            raise ValueError("give either min (higher is better) or max (lower is better)")
        return self


class Waiver(Section):
    """Lets a metric miss its bounds until a date (that day included), in somebody's name.

    A requirement of an audited lab's audit is called `audit.<requirement>`.
    """

    metric: str
    reason: str = Field(min_length=1)
    by: str = Field(min_length=1)
    until: date


class Gate(Section):
    metrics: dict[str, Bound] = Field(min_length=1)
    profile: Literal["course"] | None = Field(None, description="course: measured on the starter data is insufficient")
    waivers: tuple[Waiver, ...] = ()

    @model_validator(mode="after")
    def _waivers_are_of_gated_metrics(self) -> Self:
        for waiver in self.waivers:
            if waiver.metric not in self.metrics and not waiver.metric.startswith("audit."):
                raise ValueError(f"a waiver names {waiver.metric!r}, which has no gate")
        return self


class LabParams(BaseModel):
    """Everything of params.yaml that concerns one lab; `train` and the like are the lab's own types."""

    model_config = ConfigDict(frozen=True)

    data: Data
    train: Any
    prepare: Any
    export: Any
    evaluate: Any
    gate: Gate
    serve: Any
    audit: Any = None
    """None for a lab that is not audited."""


def load(lab_name: str, path: Path) -> LabParams:
    """Reads and checks one lab's parameters.

    Raises UserError naming the first wrong key and, for an unknown one, the nearest key there is.
    """
    return checked(lab_name, read(path), path)


def checked(lab_name: str, raw: dict[str, Any], path: Path) -> LabParams:
    """One lab's parameters out of the sections of a params.yaml. `path` is what errors name. Raises UserError."""
    lab = find(lab_name)
    _known(raw, (*COMMON, *LABS, *STEP_SECTIONS), path, "")
    for section in STEP_SECTIONS:
        if not isinstance(raw.get(section) or {}, dict):
            raise UserError(f"{path}: {section} is {raw[section]!r}: it holds sections of labs")
        _known(raw.get(section) or {}, LABS, path, section)
    types: dict[str, type[BaseModel]] = {
        "prepare": lab.Prepare,
        "export": lab.Export,
        "evaluate": lab.Evaluate,
        "gate": Gate,
        "serve": lab.Serve,
    }
    if lab.audited:
        types["audit"] = lab.Audit
    sections: dict[str, Any] = {
        section: _check(model, (raw.get(section) or {}).get(lab_name, {}), path, f"{section}.{lab_name}")
        for section, model in types.items()
    }
    for metric in sections["gate"].metrics:
        if metric not in lab.gated:
            raise UserError(_unknown(path, f"gate.{lab_name}.metrics.{metric}", metric, list(lab.gated)))
    data = _check(Data, raw.get("data"), path, "data")
    return LabParams(data=data, train=_check(lab.Train, raw.get(lab_name), path, lab_name), **sections)


def overridden(raw: dict[str, Any], lab_name: str, assignments: Iterable[str], path: Path) -> dict[str, Any]:
    """The sections with `name=value` laid over them, as in `music.hidden_size=256`; values are YAML.

    Only names are judged here, `checked` judges values. Raises UserError for one that is not of this lab.
    """
    result = copy.deepcopy(raw)
    for assignment in assignments:
        name, equals, text = assignment.partition("=")
        keys = name.split(".")
        if not equals or len(keys) < 2:
            raise UserError(f"'{assignment}' sets nothing: write {lab_name}.seed=2, a name of {path} and its value")
        _known({keys[0]: None}, (*COMMON, lab_name, *STEP_SECTIONS), path, "")
        if keys[0] in STEP_SECTIONS:
            _known({keys[1]: None}, (lab_name,), path, keys[0])
        section = result
        for depth, key in enumerate(keys[:-1], start=1):
            section = section.setdefault(key, {})
            if not isinstance(section, dict):
                raise UserError(f"{path}: {'.'.join(keys[:depth])} is {section!r} and has no {keys[depth]}")
        try:
            section[keys[-1]] = yaml.safe_load(text)
        except yaml.YAMLError:
            raise UserError(f"{name}: {text!r} is not YAML") from None
    return result


def section(model: type[Model], raw: dict[str, Any], name: str, path: Path) -> Model:
    """A section of no lab. Raises UserError naming the first wrong key."""
    return _check(model, raw.get(name), path, name)


def read(path: Path) -> dict[str, Any]:
    """The sections of a params.yaml, unchecked. Raises UserError for a file that is none."""
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path} is missing: run from the project's folder, or name the file with --params") from None
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(raw, dict):
        raise UserError(f"{path} must hold sections (data, a lab's name, ...), not a {type(raw).__name__}")
    return raw


def _check(model: type[Model], values: object, path: Path, section: str) -> Model:
    try:
        # JSON mode, so that a YAML list may stand for a tuple and a date for a date, and nothing else is converted.
        return model.model_validate_json(json.dumps(values, default=str))
    except ValidationError as error:
        raise UserError(_explain(error, model, path, section)) from None


def _known(section: dict[str, Any], names: tuple[str, ...], path: Path, prefix: str) -> None:
    for name in section:
        if name not in names:
            raise UserError(_unknown(path, f"{prefix}.{name}".lstrip("."), str(name), list(names)))


def _explain(error: ValidationError, model: type[BaseModel], path: Path, section: str) -> str:
    # A typo is an unknown key and a missing one; the unknown one says more.
    first = min(error.errors(), key=lambda found: found["type"] != "extra_forbidden")
    key = ".".join([section, *map(str, first["loc"])])
    if first["type"] == "extra_forbidden":
        return _unknown(path, key, str(first["loc"][-1]), _keys(model, first["loc"][:-1]))
    if first["type"] == "missing":
        return f"{path}: {key} is missing"
    return f"{path}: {key} is {first['input']!r}: {first['msg'][0].lower()}{first['msg'][1:]}"


def _unknown(path: Path, key: str, name: str, names: list[str]) -> str:
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.0)
    return f"{path}: unknown parameter {key}" + (f"; did you mean '{near[0]}'?" if near else "")


def _keys(model: type[BaseModel], location: tuple[int | str, ...]) -> list[str]:
    for part in location:
        field = model.model_fields.get(str(part))
        inner = field.annotation if field else None
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            model = inner
    return list(model.model_fields)
