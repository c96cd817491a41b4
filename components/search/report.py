"""report.html, trials.csv and best.json of a search: every trial, its values, what it reached and how to repeat it."""

from __future__ import annotations

import json
import shlex
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from components.files import write_json, write_text
from components.labs import Lab
from components.report.csv_table import write_csv
from components.report.page import figure, note, page, section, table
from components.report.plots import COOL, MUTED, WARM, canvas, svg
from components.search import study as studies
from components.search.ranges import Search, assignments

if TYPE_CHECKING:
    from optuna import Study
    from optuna.trial import FrozenTrial

STATES = {"COMPLETE": COOL, "PRUNED": MUTED}
REPEAT = (
    "A trial is repeated by the command of its row, which trains it as a DVC experiment; "
    "<code>promote@</code> in place of <code>train@</code> takes it to the gate. The figure is of validation data; "
    "no trial saw the test data."
)


def command(lab: Lab, trial: FrozenTrial, goal: str) -> str:
    """The command line that takes the lab with a trial's values up to a step, as an experiment of DVC."""
    sets = " ".join(f"-S {shlex.quote(text)}" for text in assignments(lab, studies.values(trial)))
    return f"dvc exp run {sets} {goal}@{lab.name}"


def write_report(out: Path, lab: Lab, search: Search, study: Study) -> None:
    """Writes the files into `out`. At least one trial has ended."""
    trials, found, monitor = studies.ended(study), studies.best(study), lab.monitor
    better = "less" if monitor.direction == "min" else "more"
    told = (
        f"{len(trials)} of {search.trials} trials by {monitor.name} ({better} is better): "
        + ", ".join(f"{_count(trials, state)} {state.lower()}" for state in ("COMPLETE", "PRUNED", "FAIL"))
        + f"; {search.startup_trials} at random, then TPE; pruner {search.pruner}; seed {search.seed}."
    )
    best = "No trial has come to a result."
    if found is not None:
        first = next((trial for trial in trials if studies.first_attempt(trial) == 0), None)
        start = f", trial 0: {_figure(first)}" if first is not None and first.value is not None else ""
        best = (
            f"<p>Trial {found.number}: {escape(monitor.name)} {_figure(found)}{start}.</p>"
            f"<pre>{escape(command(lab, found, 'promote'))}</pre>"
        )
        write_json(
            out / "best.json",
            {"trial": found.number, monitor.name: found.value, "values": studies.values(found)},
        )
    names = list(search.ranges)
    rows = [
        [
            str(trial.number),
            trial.state.name.lower(),
            _figure(trial),
            str(len(trial.intermediate_values)),
            *(escape(json.dumps(studies.values(trial)[name])) for name in names),
            escape(trial.user_attrs.get(studies.REASON, "")),
            f"<code>{escape(command(lab, trial, 'train'))}</code>",
        ]
        for trial in sorted(trials, key=lambda trial: _rank(trial, monitor.direction))
    ]
    head = ["trial", "state", monitor.name, "epochs", *names, "reason", "repeat"]
    sections = [
        note(escape(told)),
        section("Best", best),
        figure(f"{monitor.name} of each trial, and of the best so far", _history(trials, monitor.name, better)),
        section("Trials, the best first", table(rows, list(map(escape, head))), note(REPEAT)),
    ]
    write_text(out / "report.html", page(f"Search over {lab.name}", sections))
    columns: dict[str, list[object]] = {
        "trial": [trial.number for trial in trials],
        "state": [trial.state.name.lower() for trial in trials],
        monitor.name: [_figure(trial) for trial in trials],
        "epochs": [len(trial.intermediate_values) for trial in trials],
        **{name: [json.dumps(studies.values(trial)[name]) for trial in trials] for name in names},
    }
    write_csv(out / "trials.csv", columns)


def _history(trials: list[FrozenTrial], name: str, better: str) -> str:
    drawing = canvas(6.4, 3.2)
    axes = drawing.add_subplot()
    for state, colour in STATES.items():
        shown = [trial for trial in trials if trial.state.name == state and trial.value is not None]
        axes.plot(
            [t.number for t in shown], [t.value or 0 for t in shown], "o", ms=5, color=colour, label=state.lower()
        )
    complete = [trial for trial in trials if trial.state.name == "COMPLETE"]
    pick = min if better == "less" else max
    so_far = [pick(trial.value or 0 for trial in complete[: count + 1]) for count in range(len(complete))]
    axes.step([trial.number for trial in complete], so_far, where="post", color=WARM, label="best so far")
    axes.set_xlabel("trial")
    axes.set_ylabel(name)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    return svg(drawing, "history")


def _rank(trial: FrozenTrial, direction: str) -> tuple[int, float]:
    order = ["COMPLETE", "PRUNED"]
    value = trial.value if trial.value is not None else 0.0
    state = trial.state.name
    return order.index(state) if state in order else len(order), value if direction == "min" else -value


def _count(trials: list[FrozenTrial], state: str) -> int:
    return sum(trial.state.name == state for trial in trials)


def _figure(trial: FrozenTrial) -> str:
    return "" if trial.value is None else f"{trial.value:.5g}"
