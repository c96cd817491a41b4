"""The contract between a lab (a noun) and the steps (verbs), and the list of labs."""

from __future__ import annotations

import difflib
from abc import ABC, abstractmethod
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict

from components.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd
    import pytorch_lightning as pl

    from components.bundle import Bundle, BundleSpec, Evaluation, Judged
    from components.promotion import AuditFindings

LABS = ("music", "faces", "scratch", "digits", "transfer", "images", "portraits")


class NoParams(BaseModel):
    """Of a step that a lab has nothing to say about, such as serving where it has no API."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Lab(ABC):
    """What a step may ask of a lab. A lab imports its slow halves (torch, pandas) inside these methods only."""

    name: str
    datasets: tuple[str, ...]
    """Folders below the data folder that the lab reads."""
    shared: tuple[str, ...] = ()
    """Folders below components/ that the lab has in common with others; their code counts as the lab's own."""
    suites: str = ""
    """Whose suites of expectations check its facts, where labs on the same data share them; by default the lab's."""
    gated: tuple[str, ...]
    """Metrics that a gate may bound: of those `evaluate` and `audit` measure, the ones that say better or worse."""
    instruments: tuple[str, ...] = ()
    """Labs whose exported bundles `evaluate` measures with; a figure is only comparable if their digests are equal."""
    audited: bool = False
    """Whether the candidate must also pass an audit before it can be promoted."""

    Train: type[BaseModel]
    Prepare: type[BaseModel]
    Export: type[BaseModel]
    Evaluate: type[BaseModel]
    Serve: type[BaseModel] = NoParams
    Audit: type[BaseModel] = NoParams

    @abstractmethod
    def prepare(self, raw: Path, out: Path, params: Any) -> dict[str, Any]:
        """Cleans and splits `raw` (the data folder) into `out`; returns the report: what was dropped, by which rule."""

    @abstractmethod
    def facts(self, raw: Path, prepared: Path) -> dict[str, pd.DataFrame]:
        """Tables of facts about the items, checked by data/expectations/<suites>_<table>.json."""

    @abstractmethod
    def module(self, prepared: Path, params: Any) -> pl.LightningModule:
        """A new model. Its metric `monitor` (an attribute) is what early stopping watches on validation data."""

    @abstractmethod
    def datamodule(self, prepared: Path, params: Any) -> pl.LightningDataModule:
        """The prepared data as batches whose order depends on (seed, epoch) only."""

    @abstractmethod
    def export(self, module: pl.LightningModule, prepared: Path, out: Path, params: Any) -> BundleSpec:
        """Writes the ONNX graphs and parity.json (torch against onnxruntime) into `out`."""

    @abstractmethod
    def evaluate(
        self, bundle: Bundle, prepared: Path, out: Path, params: Any, instruments: Mapping[str, Bundle]
    ) -> Evaluation:
        """Measures the exported bundle on held-out data; writes plots and reports into `out`.

        instruments: the verified bundles of the labs that `Lab.instruments` names.
        """

    def audit(
        self, candidate: Judged, champion: Judged | None, prepared: Path, out: Path, params: Any
    ) -> AuditFindings:
        """Judges an audited lab's candidate as it would be served; writes the reports that go with it into `out`.

        champion: the model to compare with, None when there is none, or it is the candidate, or saw other data.
        """
        raise NotImplementedError(f"{self.name} is not audited")


def find(name: str) -> Lab:
    """The lab of that name. Raises UserError that names the nearest one."""
    if name not in LABS:
        near = difflib.get_close_matches(name, LABS, n=1, cutoff=0.0)
        raise UserError(f"there is no lab '{name}'; did you mean '{near[0]}'? labs: {', '.join(LABS)}")
    lab: Lab = import_module(f"components.labs.{name}").LAB
    return lab
