"""The contract between a lab (a noun) and the steps (verbs)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from components.config import LabParams
from components.discovery import nearest, packages

if TYPE_CHECKING:
    import pytorch_lightning as pl
    from torch import nn

    from components.bundle import Bundle, BundleSpec, Candidate
    from components.records import AuditFindings, Evaluation

LABS = packages(Path(__file__).parent)
"""Names of the labs: a folder here is one."""


@dataclass(frozen=True)
class Monitor:
    """The validation figure that early stopping and the choice of the epoch follow, and which way is better."""

    name: str
    direction: Literal["min", "max"] = "min"


@dataclass(frozen=True)
class Api:
    """What serves a lab: the folders serving/<name>/ and serving/page/static/<name>/. Several labs may share one.

    extras: of pyproject.toml, which its image installs beyond `serve`.
    """

    name: str
    extras: tuple[str, ...] = ()


@dataclass(frozen=True)
class Inputs:
    """What training, export and evaluation read.

    prepared: the output of the step prepare.  pretrained: folders of pretrained weights, by the names in
    `Lab.pretrained`.
    """

    prepared: Path
    pretrained: Mapping[str, Path] = field(default_factory=dict)


@dataclass(frozen=True)
class EvaluateContext:
    """An evaluation. reference_models: verified bundles of the labs that `Lab.reference_models` names."""

    bundle: Bundle
    inputs: Inputs
    out: Path
    params: Any
    reference_models: Mapping[str, Bundle]


@dataclass(frozen=True)
class AuditContext:
    """An audit. champion: None where there is none, it is the candidate, or it was made from other data."""

    candidate: Candidate
    champion: Candidate | None
    inputs: Inputs
    out: Path
    params: Any


class Lab(ABC):
    """What a step may ask of a lab. A lab imports its slow halves (torch, pandas) inside these methods only."""

    name: str
    dataset: str
    """The dataset that it learns from."""
    pretrained: tuple[str, ...] = ()
    """Pretrained weights that it starts from: names of entries in sources.toml."""
    reference_models: tuple[str, ...] = ()
    """Labs whose exported bundles `evaluate` measures with; a figure is only comparable if their digests are equal."""
    audited: bool = False
    """Whether the candidate must also pass an audit before it can be promoted."""
    monitor: Monitor = Monitor("val_loss")
    gate_metrics: tuple[str, ...]
    """Metrics that a gate may bound: of those `evaluate` and `audit` measure, the ones that say better or worse."""
    headline: tuple[str, ...]
    """At most six of the metrics: what `dvc metrics show` and the front page show."""
    api: Api | None = None
    Params: type[LabParams]

    @abstractmethod
    def module(self, inputs: Inputs, params: Any) -> pl.LightningModule:
        """A new model. params: `train`. It logs the metric that `monitor` names on validation data."""

    def untrained(self, inputs: Inputs, params: Any) -> nn.Module:
        """What the export loads a checkpoint's weights into, with the names that they have in `module`.

        A lab whose module wraps a plain network gives that one instead: importing Lightning takes longer than to
        export a small network.
        """
        from components.lightning import load_lightning

        load_lightning()
        return self.module(inputs, params)

    @abstractmethod
    def data(self, inputs: Inputs, params: Any) -> pl.LightningDataModule:
        """The prepared data as batches whose order depends on (seed, epoch) only. params: `train`."""

    @abstractmethod
    def export(self, module: Any, inputs: Inputs, out: Path, params: Any) -> BundleSpec:
        """Writes the ONNX graphs and parity.json (torch against onnxruntime) into `out`. params: `export`.

        module: what `untrained` gave, with the checkpoint's weights.
        """

    @abstractmethod
    def evaluate(self, context: EvaluateContext) -> Evaluation:
        """Measures the exported bundle on held-out data; writes plots and reports into `context.out`."""

    def audit(self, context: AuditContext) -> AuditFindings:
        """Judges an audited lab's candidate as it would be served; writes the reports that go with it."""
        raise NotImplementedError(f"{self.name} is not audited")


def with_reference_models(name: str) -> dict[str, Lab]:
    """A lab after those that it is measured with, by name. Raises UserError as `find`."""
    lab = find(name)
    found: dict[str, Lab] = {}
    for reference in lab.reference_models:
        found |= with_reference_models(reference)
    return {**found, name: lab}


def find(name: str) -> Lab:
    """The lab of that name. Raises UserError that names the nearest one."""
    nearest("lab", name, LABS)
    lab: Lab = import_module(f"components.labs.{name}").LAB
    return lab
