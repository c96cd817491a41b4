"""One pipeline over any lab, built from what the lab declares; and its sweep, which trains several and takes the best.

No `from __future__ import annotations` here: the compiler reads types, not their names.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from kfp import dsl
from kfp.dsl.graph_component import GraphComponent

from components.labs import Lab
from components.params import STEP_SECTIONS
from pipelines import tasks
from pipelines.params import Pipelines
from pipelines.placement import placed


@dataclass(frozen=True)
class Wiring:
    """How the tasks of a lab hang together; each method adds tasks to the pipeline that is being built."""

    lab: Lab
    cluster: Pipelines
    environment: Mapping[str, str] = field(default_factory=dict)

    def closed(self) -> dsl.PipelineTask:
        return self._at("close_run", tasks.close_run(lab=self.lab.name))

    def until_validated(self, folder: Any, version: Any, train: Any, sections: Mapping[str, Any]) -> "Until":
        """Opens the run, brings the data, prepares and validates it."""
        opened = self._at(
            "open_run",
            tasks.open_run(lab=self.lab.name, data_folder=folder, data_version=version, train=train, **sections),
        )
        ours = {"lab": self.lab.name, "data_folder": folder, "data_version": opened.output}
        raw = self._at("data", tasks.data(**ours)).output
        prepared = self._at("prepare", tasks.prepare(**ours, prepare=sections["prepare"], raw=raw)).output
        validated = self._at("validate", tasks.validate(**ours, raw=raw, prepared=prepared))
        return Until(ours, prepared, validated)

    def train(self, until: "Until", train: Any) -> dsl.PipelineTask:
        task = tasks.train(**until.ours, train=train, prepared=until.prepared)
        return self._at("train", task.after(until.validated))

    def choose(self, candidates: Any, trainings: Any) -> dsl.PipelineTask:
        return self._at("choose", tasks.choose(candidates=candidates, trainings=trainings))

    def after_training(self, until: "Until", train: Any, trained: Any, sections: Mapping[str, Any]) -> None:
        """Exports, evaluates and judges the model; past the gate, and nowhere else, it is promoted."""
        ours = {**until.ours, "train": train}
        export = tasks.export(**ours, export=sections["export"], prepared=until.prepared, trained=trained)
        bundle = self._at("export", export).output
        evaluate = tasks.evaluate(**ours, evaluate=sections["evaluate"], prepared=until.prepared, bundle=bundle)
        judged = evaluated = self._at("evaluate", evaluate).outputs["evaluated"]
        if self.lab.audited:
            inputs = {"prepared": until.prepared, "bundle": bundle, "evaluated": evaluated}
            audit = tasks.audit(**ours, audit=sections["audit"], **inputs)
            judged = self._at("audit", audit).outputs["audited"]
        gate = self._at("gate", tasks.gate(**ours, gate=sections["gate"], evaluated=evaluated, judged=judged))
        decided = {"evaluated": evaluated, "judged": judged, "decided": gate.outputs["decided"]}
        with dsl.If(gate.outputs["Output"] == True, name="PASS or WAIVED"):  # noqa: E712 - Kubeflow's own comparison
            self._at("promote", tasks.promote(**ours, bundle=bundle, **decided))

    def _at(self, name: str, task: dsl.PipelineTask) -> dsl.PipelineTask:
        return placed(task, name, self.cluster, self.environment)


@dataclass(frozen=True)
class Until:
    """What the tasks up to validation give to the others. ours: arguments that every task takes."""

    ours: dict[str, Any]
    prepared: Any
    validated: dsl.PipelineTask


def pipeline_of(lab: Lab, raw: Mapping[str, Any], version: str, wiring: Wiring) -> GraphComponent:
    """The pipeline of a lab.

    raw: the sections of params.yaml, whose values are the defaults of the pipeline's parameters. version: the data's,
    or the address of its pin.
    """
    own = _own(lab, raw)

    @dsl.pipeline(name=lab.name, description=f"{lab.name}: from the data's version to the champion, if the gate allows")
    def pipeline(
        data_version: str = version,
        data_folder: str = raw["data"]["folder"],
        train: dict[str, Any] = raw[lab.name],
        prepare: dict[str, Any] = own["prepare"],
        export: dict[str, Any] = own["export"],
        evaluate: dict[str, Any] = own["evaluate"],
        audit: dict[str, Any] = own["audit"],
        gate: dict[str, Any] = own["gate"],
    ) -> None:
        sections = {"prepare": prepare, "export": export, "evaluate": evaluate, "audit": audit, "gate": gate}
        with dsl.ExitHandler(wiring.closed(), name="steps"):
            until = wiring.until_validated(data_folder, data_version, train, sections)
            trained = wiring.train(until, train).outputs["trained"]
            wiring.after_training(until, train, trained, sections)

    return pipeline


def sweep_of(lab: Lab, raw: Mapping[str, Any], version: str, wiring: Wiring) -> GraphComponent:
    """The pipeline that trains with each of `candidates` (the lab's sections) and goes on with the best of them."""
    own = _own(lab, raw)

    @dsl.pipeline(name=f"{lab.name}-sweep", description=f"{lab.name}: several trainings, of which the best is judged")
    def pipeline(
        candidates: list[dict[str, Any]] = [raw[lab.name]],  # noqa: B006 - a default for the compiler to read
        data_version: str = version,
        data_folder: str = raw["data"]["folder"],
        train: dict[str, Any] = raw[lab.name],
        prepare: dict[str, Any] = own["prepare"],
        export: dict[str, Any] = own["export"],
        evaluate: dict[str, Any] = own["evaluate"],
        audit: dict[str, Any] = own["audit"],
        gate: dict[str, Any] = own["gate"],
    ) -> None:
        sections = {"prepare": prepare, "export": export, "evaluate": evaluate, "audit": audit, "gate": gate}
        with dsl.ExitHandler(wiring.closed(), name="steps"):
            until = wiring.until_validated(data_folder, data_version, train, sections)
            with dsl.ParallelFor(candidates, name="candidates", parallelism=wiring.cluster.parallel) as candidate:
                training = wiring.train(until, candidate)
            chosen = wiring.choose(candidates, dsl.Collected(training.outputs["trained"]))
            wiring.after_training(until, chosen.outputs["Output"], chosen.outputs["trained"], sections)

    return pipeline


def _own(lab: Lab, raw: Mapping[str, Any]) -> dict[str, Any]:
    return {section: (raw.get(section) or {}).get(lab.name, {}) for section in STEP_SECTIONS}
