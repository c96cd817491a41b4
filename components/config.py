"""params.yaml as frozen models: a typo, a wrong type or a value out of range is one line that names the key.

The types that every lab's and dataset's parameters are built from, and how a file is read and a wrong value explained.
Which lab has which types is said by the labs; `components.params` puts both together.
"""

import copy
import difflib
import json
import re
from collections.abc import Iterable
from datetime import date
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar, get_args

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from components.errors import UserError, shown
from components.sources.catalogue import Profile

Model = TypeVar("Model", bound=BaseModel)

Width = Annotated[int, Field(ge=1, le=4096)]
"""Numbers, or channels, of a layer."""
Decay = Annotated[float, Field(ge=0, lt=1)]
"""Share of a running mean that a step keeps."""


class Section(BaseModel):
    """A part of params.yaml: no unknown keys, no changes after reading."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class DatasetParams(Section):
    """How a dataset is prepared. A dataset with more to say extends it."""

    profile: Profile
    limit: int = Field(ge=0)


class TrainParams(Section):
    """What the step train itself reads; a lab's own type adds its model."""

    seed: int = Field(ge=0, lt=2**32)
    max_epochs: int = Field(ge=1)
    patience: int = Field(ge=1)
    gradient_clip: float | None = Field(None, gt=0)
    """Largest norm of the gradient; None where the module clips by itself, or not at all."""
    precision: Literal["auto", "32-true", "bf16-mixed"]
    log_every_n_steps: int = Field(ge=1)


class ExportParams(Section):
    """What every export needs to know; a lab adds its own."""

    variants: tuple[Literal["float", "int8"], ...] = Field(min_length=1)
    parity_tolerance: float = Field(gt=0)


class Limits(Section):
    """What bounds a request of any API; a lab's Serve adds its own."""

    request_seconds: float = Field(gt=0)
    body_bytes: int = Field(ge=1024)
    body_seconds: float = Field(gt=0)
    held_bytes: int = Field(ge=1024)
    """Bytes of bodies and answers, of all requests, that are in memory."""
    retry_after_seconds: int = Field(ge=1)
    drain_seconds: float = Field(ge=0)
    client_rate: float = Field(gt=0)
    """What a client may go on with, where API keys are asked for."""
    client_burst: int = Field(ge=1)
    """What it may ask for at once."""


class PictureLimits(Limits):
    """Limits of an API that takes pictures. How much memory a pixel takes depends on how it is stored."""

    max_pixels: int = Field(ge=4096)
    """Largest picture that a decoder holds whole, in pixels."""
    max_compact_pixels: int = Field(ge=4096)
    """Largest HEIC, or progressive JPEG with subsampled colours: a decoder holds about 5 bytes a pixel."""
    max_jpeg_pixels: int = Field(ge=4096)
    """Largest JPEG that is decoded row by row, at 1/8 of its size if need be."""


class DriftLimits(Section):
    """How requests are compared with the reference of a bundle; see `components.drift`."""

    drift_window: int = Field(ge=100)
    """Values of a feature that are counted before they are compared and shown; fewer could tell of one request."""
    drift_alarm_rate: float = Field(gt=0, lt=0.5)
    """Most of the windows that may raise an alarm, whichever the feature, where requests have not changed."""


class ShadowLimits(Section):
    """How much of the requests a candidate sees beside the served model; see `serving.core.shadow`."""

    shadow_every: int = Field(ge=1)
    """One in so many requests of a route."""
    shadow_window: int = Field(ge=10)
    """Compared requests after which their sums are shown; fewer could tell of one request."""


class ServerLimits(Section):
    """What bounds every connection to a server, whatever it serves: the block `server`."""

    connections: int = Field(ge=8)
    """Open at a time. Beyond, the one whose client the server has waited for longest is closed."""
    header_bytes: int = Field(ge=4096, le=2**20)
    """Largest request line and headers together."""
    header_seconds: float = Field(gt=0)
    """Time until they are complete."""
    send_seconds: float = Field(gt=0)
    """Time in which a client must read the next 64 KiB of its answer."""


class ReproLimits(Section):
    """What `make repro` may take of this machine: the block `repro`."""

    free_memory: float = Field(gt=0)
    """GiB that must be free for each of the labs that are made at the same time."""


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
    profile: Literal["course"] | None = None
    """course: what was measured on the starter data is INSUFFICIENT."""
    waivers: tuple[Waiver, ...] = ()

    @model_validator(mode="after")
    def _waivers_are_of_gated_metrics(self) -> Self:
        for waiver in self.waivers:
            if waiver.metric not in self.metrics and not waiver.metric.startswith("audit."):
                raise ValueError(f"a waiver names {waiver.metric!r}, which has no gate")
        return self


class LabParams(Section):
    """A lab's block of params.yaml. A lab's own type names the types of its sections; `serve` and `audit` where it
    has them."""

    train: TrainParams
    export: Section
    evaluate: Section
    gate: Gate
    serve: Limits | None = None
    audit: Section | None = None
    search: dict[str, Any] | None = None
    """What a search varies; no step reads it. `components.search.ranges` checks it."""


def overridden(raw: dict[str, Any], assignments: Iterable[str], allowed: tuple[str, ...], path: Path) -> dict[str, Any]:
    """The blocks with `name=value` laid over them, as in `music.train.hidden_size=256`; values are YAML.

    Only the first name of each is judged here, by `allowed`; the types judge the rest. Raises UserError.
    """
    result = copy.deepcopy(raw)
    for assignment in assignments:
        name, equals, text = assignment.partition("=")
        keys = name.split(".")
        if not equals or len(keys) < 2:
            raise UserError(
                f"'{assignment}' sets nothing: write {allowed[-1]}.train.seed=2, a name of {path} and its value"
            )
        known({keys[0]: None}, allowed, path)
        section = result
        for depth, key in enumerate(keys[:-1], start=1):
            section = section.setdefault(key, {})
            if not isinstance(section, dict):
                raise UserError(f"{path}: {'.'.join(keys[:depth])} is {section!r} and has no {keys[depth]}")
        try:
            section[keys[-1]] = parse(text)
        except yaml.YAMLError:
            raise UserError(f"{name}: {text!r} is not YAML") from None
    return result


class _Loader(yaml.SafeLoader):
    """Takes 1e-05 for a number, as DVC and JSON write it; YAML 1.1 wants a point in it, and reads a text."""


_Loader.add_implicit_resolver("tag:yaml.org,2002:float", re.compile(r"[-+]?\d+[eE][-+]?\d+$"), list("-+0123456789"))


def parse(text: str) -> Any:
    """The value that YAML text says, as far as JSON can say it, too. Raises yaml.YAMLError.

    YAML has values that hold themselves and keys that are lists or dates, and its reader stumbles over 30 February.
    """
    try:
        value = yaml.load(text, _Loader)  # noqa: S506 - it is the safe loader
        json.dumps(value, default=str)
    except RecursionError:
        raise yaml.YAMLError("it is nested too deeply") from None
    except (TypeError, ValueError) as error:
        raise yaml.YAMLError(str(error)) from None
    return value


def read(path: Path) -> dict[str, Any]:
    """The blocks of a params.yaml, unchecked. Raises UserError for a file that is none."""
    try:
        raw = copy.deepcopy(_parsed(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise UserError(f"{path} is missing: run from the project's folder, or name the file with --params") from None
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(raw, dict):
        raise UserError(f"{path} must hold blocks (datasets, a lab's name, ...), not a {type(raw).__name__}")
    return raw


@lru_cache(maxsize=2)
def _parsed(text: str) -> Any:
    """A step reads the same file for its lab and for its dataset, and the safe parser, in Python, is slow."""
    return parse(text)


def checked_section(model: type[Model], values: object, path: Path, section: str) -> Model:
    """The values as `model`. section: their place in the file. Raises UserError that names the first wrong key."""
    try:
        # JSON mode, so that a YAML list may stand for a tuple and a date for a date, and nothing else is converted.
        return model.model_validate_json(json.dumps(values, default=str))
    except ValidationError as error:
        raise UserError(_explain(error, model, path, section)) from None


def known(section: dict[str, Any], names: tuple[str, ...], path: Path, prefix: str = "") -> None:
    """Raises UserError for a key that is none of `names`, with the nearest that is."""
    for name in section:
        if name not in names:
            raise UserError(unknown(path, f"{prefix}.{name}".lstrip("."), str(name), list(names)))


def _explain(error: ValidationError, model: type[BaseModel], path: Path, section: str) -> str:
    # A typo is an unknown key and a missing one; the unknown one says more.
    first = min(error.errors(), key=lambda found: found["type"] != "extra_forbidden")
    key = ".".join([section, *map(str, first["loc"])])
    if first["type"] == "extra_forbidden":
        return unknown(path, key, str(first["loc"][-1]), _keys(model, first["loc"][:-1]))
    if first["type"] == "missing":
        return f"{path}: {shown(key)} is missing"
    return f"{path}: {shown(key)} is {shown(repr(first['input']))}: {first['msg'][0].lower()}{first['msg'][1:]}"


def unknown(path: Path, key: str, name: str, names: list[str]) -> str:
    """What is said of an unknown key."""
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.0)
    return f"{path}: unknown parameter {shown(key)}" + (f"; did you mean '{near[0]}'?" if near else "")


def _keys(model: type[BaseModel], location: tuple[int | str, ...]) -> list[str]:
    inner: Any = model
    for part in location:
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            field = inner.model_fields.get(str(part))
            inner = field.annotation if field else None
        else:  # a dictionary's values
            inner = (*get_args(inner), None)[1]
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            model = inner
    return list(model.model_fields)
