"""Optuna's study of a search: kept in a database, so that a killed search goes on as if it had not been killed."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from components.errors import UserError, one_line
from components.labs import Lab
from components.search.ranges import Search, as_it_is, draw

if TYPE_CHECKING:
    from optuna import Study
    from optuna.trial import FrozenTrial, Trial

KILLS = 3
"""How often a trial may die with its process before it counts as failed: it may be what the process dies of."""
RUN = "run"
"""Noted of a study: the journal of its run in MLflow, which goes on with it."""
TRIES = 20
"""Draws for each trial that is to be unlike the others."""
FIRST, KILLED, REASON, STOPPED, VALUES = "first", "killed", "reason", "stopped", "values"
"""What is noted of a trial: the number of the first attempt at it, how often it was killed, why it failed, that a
person stopped it, and the values of params.yaml that it was trained with."""


def open_study(database: Path, name: str, lab: Lab, search: Search, start: Mapping[str, Any] | None) -> Study:
    """The study of that name. A new one first tries `start`, what a trial with the values of params.yaml draws.

    A trial that was running when its process ended is failed, and is tried again. Raises UserError where Optuna is
    missing or its database cannot be read.
    """
    optuna = _optuna()
    from sqlalchemy.exc import DatabaseError

    database.parent.mkdir(parents=True, exist_ok=True)
    try:
        study: Study = optuna.create_study(
            study_name=name,
            storage=f"sqlite:///{database}",
            direction="minimize" if lab.monitor.direction == "min" else "maximize",
            load_if_exists=True,
        )
        if RUN not in study.user_attrs:
            study.set_user_attr(RUN, uuid.uuid4().hex)
        if start is not None and not study.trials:
            study.enqueue_trial(dict(start))
        _try_again(study, search)
    except DatabaseError as error:
        raise UserError(f"{database} cannot be used: {one_line(error.orig)}; remove it to search anew") from None
    return study


def ask(study: Study, search: Search) -> Trial:
    """The next trial. What it draws follows from the seed and the trials that have ended, not from any process."""
    from optuna.pruners import MedianPruner, NopPruner
    from optuna.samplers import TPESampler

    count = len(ended(study))
    study.sampler = TPESampler(seed=(search.seed * 100_003 + count) % 2**32, n_startup_trials=search.startup_trials)
    study.pruner = (
        MedianPruner(n_startup_trials=search.startup_trials, n_warmup_steps=search.warmup_epochs)
        if search.pruner == "median"
        else NopPruner()
    )
    return study.ask()


def ended(study: Study) -> list[FrozenTrial]:
    """Trials that came to an end of their own, oldest first: a result, pruned, or failed for a reason."""
    from optuna.trial import TrialState

    own = (TrialState.COMPLETE, TrialState.PRUNED)
    return [trial for trial in study.trials if trial.state in own or REASON in trial.user_attrs]


def best(study: Study) -> FrozenTrial | None:
    """The trial with the best result; None before the first."""
    from optuna.trial import TrialState

    return study.best_trial if study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)) else None


def first_attempt(trial: Trial | FrozenTrial) -> int:
    """The number under which a trial was first tried."""
    return int(trial.user_attrs.get(FIRST, trial.number))


def at_random(lab: Lab, raw: Mapping[str, Any], search: Search, count: int) -> list[dict[str, Any]]:
    """Values of so many trials that learn from none: those of params.yaml, then random ones, no two alike.

    Raises UserError where the ranges hold fewer.
    """
    optuna = _optuna()
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=search.seed))
    if start := as_it_is(lab, raw, search):
        study.enqueue_trial(start)
    found: dict[str, dict[str, Any]] = {}
    for _ in range(TRIES * count):
        drawn = draw(study.ask(), lab, raw, search)
        found.setdefault(json.dumps(drawn), drawn)
        if len(found) == count:
            return list(found.values())
    raise UserError(f"the ranges of {lab.name}.search hold no {count} different trials: ask for {len(found)}")


def values(trial: FrozenTrial) -> dict[str, Any]:
    """What a trial was trained with, by the names in the section `train`."""
    return dict(trial.user_attrs[VALUES])


def _optuna() -> ModuleType:
    """Optuna, which then tells of failures only. Raises UserError where it is not installed."""
    try:
        import optuna
    except ImportError:
        raise UserError("a search needs Optuna: `make environment` installs it") from None
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna


def _try_again(study: Study, search: Search) -> None:
    """Fails each trial that no process runs any more, after it was put into the queue again."""
    from optuna.trial import Trial, TrialState

    queued = {first_attempt(trial) for trial in study.trials if trial.state == TrialState.WAITING and trial.user_attrs}
    for trial in study.get_trials(states=(TrialState.RUNNING,)):
        first = first_attempt(trial)
        killed = int(trial.user_attrs.get(KILLED, 0)) + (STOPPED not in trial.user_attrs)
        # One that died while it drew is drawn again, the same: unless it was given its values.
        drawn = trial.params if len(trial.params) == len(search.ranges) else trial.system_attrs.get("fixed_params")
        if killed > KILLS:
            Trial(study, trial._trial_id).set_user_attr(REASON, f"its process was killed {killed} times")
        elif drawn and first not in queued:
            kept = {VALUES: trial.user_attrs[VALUES]} if VALUES in trial.user_attrs else {}
            study.enqueue_trial(drawn, user_attrs={FIRST: first, KILLED: killed, **kept})
        study.tell(trial.number, state=TrialState.FAIL)
