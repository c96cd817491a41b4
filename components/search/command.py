"""`python -m components search <lab>`: trials one after another, each a training that is recorded in MLflow."""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock, Timeout

from components import params as parameters
from components.config import DatasetParams, LabParams, read
from components.datasets import find_dataset
from components.errors import UserError
from components.files import output_folder
from components.labs import Inputs, Lab
from components.provenance import provenance
from components.search import study as studies
from components.search.ranges import Search, as_it_is, assignments, draw, probes, search_of, with_values
from components.search.report import write_report
from components.search.trial import TrialError, run_trial
from components.steps import inputs_of
from components.steps.train import inputs_hash
from components.tracking import journal
from components.tracking.runs import lightning_logger, tracked

if TYPE_CHECKING:
    from optuna import Study
    from optuna.trial import FrozenTrial, Trial

    from components.tracking.journal import Run

log = logging.getLogger(__name__)

FIGURES = "figures"
"""Noted of a study: the names of what its trainings measure."""


@dataclass(frozen=True)
class Searched:
    """A search as it was asked for. raw: the blocks of the file `path`. build: the folder of all outputs."""

    lab: Lab
    raw: dict[str, Any]
    path: Path
    search: Search
    dataset: DatasetParams
    inputs: Inputs
    build: Path

    @property
    def name(self) -> str:
        """Names the study by all that its results depend on: data, code, ranges, and the parameters that it does not
        vary. Not by the number of trials, so that more can be asked for, nor by the values that it is to find."""
        fixed = {name: probes(self.lab, self.raw, name, of)[0] for name, of in self.search.ranges.items()}
        training = inputs_hash(self.lab, self.params(fixed).train, self.inputs)
        told = self.search.model_dump_json(exclude={"trials"})
        return hashlib.sha256(f"{self.lab.name} {training} {told}".encode()).hexdigest()[:32]

    @property
    def folder(self) -> Path:
        """The folder of the trials' checkpoints: not below build/<lab>, whose folders are outputs of steps."""
        return self.build / ".search" / self.lab.name

    def params(self, values: Mapping[str, Any]) -> LabParams:
        """The lab's parameters with values of its section `train`. Raises UserError where they do not go together."""
        return parameters.checked(self.lab, with_values(self.lab, self.raw, values, self.path), self.path)

    def recorded(self, params: LabParams) -> tuple[dict[str, str], tuple[str, str]]:
        """Tags of a run with these parameters, and the profile and version of its data."""
        made_from = provenance(self.lab, params, self.dataset)
        tags = {"lab": self.lab.name} | {field: str(value) for field, value in made_from}
        return tags, (made_from.data_profile, made_from.data_version)


def search(lab: Lab, params_file: Path, build: Path) -> FrozenTrial:
    """Runs trials until there are as many as the lab's section `search` says, and writes BUILD/<lab>/search.

    Killed anywhere, the next call ends with the same trials. Returns the best trial. Raises UserError for a section
    that cannot be searched over, where another search of the lab runs, or where no trial comes to a result;
    KeyboardInterrupt on Ctrl-C, with everything recorded.
    """
    raw = read(params_file)
    params = parameters.checked(lab, raw, params_file)
    dataset = parameters.load_dataset(find_dataset(lab.dataset), params_file)
    asked = Searched(lab, raw, params_file, search_of(lab, raw, params_file), dataset, inputs_of(lab, build), build)
    tags, data = asked.recorded(params)
    told = asked.search.model_dump(mode="json", exclude={"trials"}, exclude_none=True)
    name, journals = asked.name, build / journal.NAME
    with _alone(asked):
        start = as_it_is(lab, raw, asked.search)
        study = studies.open_study(asked.folder / "study.db", name, lab, asked.search, start)
        if start is None and not studies.ended(study):
            log.info("the values of %s are outside of the ranges, and are not tried", params_file)
        with tracked(
            lab.name, "search", told, tags, data, live=True, folder=journals, id=study.user_attrs[studies.RUN]
        ) as run:
            try:
                while len(studies.ended(study)) < asked.search.trials:
                    _next(asked, study, run)
            finally:
                _report(asked, study, run)
        found = studies.best(study)
        if found is None:
            reasons = {trial.user_attrs.get(studies.REASON, "pruned") for trial in studies.ended(study)}
            raise UserError(f"none of {asked.search.trials} trials came to a result: {'; '.join(sorted(reasons))}")
        _keep_for_train(asked, study, studies.first_attempt(found))
        return found


def _next(asked: Searched, study: Study, run: Run) -> None:
    """One trial, from what it draws to what is noted of it. On Ctrl-C it stays open, and the next search goes on."""
    import optuna

    trial = studies.ask(study, asked.search)
    drawn = draw(trial, asked.lab, asked.raw, asked.search)
    values: dict[str, Any] = trial.user_attrs.get(studies.VALUES, drawn)
    trial.set_user_attr(studies.VALUES, values)
    first, number = studies.first_attempt(trial), len(studies.ended(study)) + 1
    again = f", which is trial {first} again" if first != trial.number else ""
    told = " ".join(assignments(asked.lab, values))
    log.info("trial %d (%d of %d)%s: %s", trial.number, number, asked.search.trials, again, told)
    try:
        of_lab = asked.params(values)
    except UserError as error:
        _fail(study, trial, error)
        return
    params = of_lab.train
    folder = asked.folder / study.study_name / str(first)
    tags, data = asked.recorded(of_lab)
    kept = {**tags, "trial": str(trial.number), "search": study.study_name}
    dumped, journals = params.model_dump(mode="json"), asked.build / journal.NAME
    try:
        with tracked(asked.lab.name, "trial", dumped, kept, data, folder=journals, parent=run) as own:
            try:
                metrics = run_trial(trial, asked.lab, params, asked.inputs, folder, [lightning_logger(own)])
            except optuna.TrialPruned:
                own.log_params({"state": "pruned"})
                study.tell(trial, state=optuna.trial.TrialState.PRUNED)
                log.info("trial %d is pruned: at this epoch the median trial was better", trial.number)
            else:
                _check_comparable(study, metrics)
                own.log_params({"state": "complete"})
                own.log_metrics({f"best_{name}": value for name, value in metrics.items()})
                study.tell(trial, metrics[asked.lab.monitor.name])
    except KeyboardInterrupt:
        trial.set_user_attr(studies.STOPPED, True)
        raise
    except TrialError as error:
        _fail(study, trial, error)
    _forget_all_but_the_best(asked, study)
    if found := studies.best(study):
        log.info("best so far: trial %d, %s %.5g", found.number, asked.lab.monitor.name, found.value)


def _fail(study: Study, trial: Trial, error: UserError) -> None:
    from optuna.trial import TrialState

    trial.set_user_attr(studies.REASON, str(error))
    study.tell(trial, state=TrialState.FAIL)
    log.warning("trial %d failed: %s", trial.number, error)


def _check_comparable(study: Study, metrics: Mapping[str, float]) -> None:
    """Raises TrialError where a training measured other things than the first one did."""
    names = sorted(metrics)
    known = study.user_attrs.get(FIGURES)
    if known is None:
        study.set_user_attr(FIGURES, names)
    elif known != names:
        raise TrialError(
            f"the first trial measured {', '.join(known)} and this one {', '.join(names)}: their models are of "
            "different kinds, search over each apart"
        )


def _forget_all_but_the_best(asked: Searched, study: Study) -> None:
    """Removes the checkpoints of the trials that have ended, which may be large."""
    found = studies.best(study)
    kept = None if found is None else studies.first_attempt(found)
    for trial in studies.ended(study):
        if (first := studies.first_attempt(trial)) != kept:
            shutil.rmtree(asked.folder / study.study_name / str(first), ignore_errors=True)


def _keep_for_train(asked: Searched, study: Study, first: int) -> None:
    """Puts the best trial's checkpoints where the step train looks for them: with these values it trains nothing."""
    for made in (asked.folder / study.study_name / str(first) / "checkpoints" / asked.lab.name).glob("*"):
        there = asked.build / ".checkpoints" / asked.lab.name / made.name
        if not there.exists():
            with output_folder(there) as temporary:
                shutil.copytree(made, temporary, dirs_exist_ok=True)
            os.utime(there)  # it is the newest, and so the last that train removes


def _report(asked: Searched, study: Study, run: Run) -> None:
    """Writes BUILD/<lab>/search and keeps it with the run."""
    if not studies.ended(study):
        return
    out = asked.build / asked.lab.name / "search"
    with output_folder(out) as temporary:
        write_report(temporary, asked.lab, asked.search, study)
    for path in sorted(out.iterdir()):
        run.log_artifact(path)
    if found := studies.best(study):
        run.log_metrics(
            {f"best_{asked.lab.monitor.name}": float(found.value or 0), "trials": len(studies.ended(study))}
        )


@contextmanager
def _alone(asked: Searched) -> Iterator[None]:
    """One search of a lab at a time. Raises UserError."""
    asked.folder.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(asked.folder / ".lock", timeout=0):
            yield
    except Timeout:
        raise UserError(
            f"another search over {asked.lab.name} runs, in {asked.folder}: wait for it, or stop it"
        ) from None
