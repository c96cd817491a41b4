"""One pipeline over any lab, built from what the lab declares; and its sweep, which trains several and takes the best.

No `from __future__ import annotations` here: the compiler reads types, not their names.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from kfp import dsl, kubernetes
from kfp.dsl.graph_component import GraphComponent

from components.config import STEP_SECTIONS
from components.labs import Lab
from pipelines import tasks, trainjob
from pipelines.config import Pipelines, resource_name
from pipelines.resources import placed


@dataclass(frozen=True)
class Wiring:
    """How the tasks of a lab hang together; each method adds tasks to the pipeline that is being built."""

    lab: Lab
    cluster: Pipelines
    environment: Mapping[str, str] = field(default_factory=dict)

    def closed(self) -> dsl.PipelineTask:
        return self._at("close_run", tasks.close_run(lab=self.lab.name))

    def until_validated(
        self, folder: Any, version: Any, train: Any, sections: Mapping[str, Any]
    ) -> tuple[Any, dsl.PipelineTask]:
        """Opens the run, brings the data, prepares and validates it. Returns what was prepared, and the validation."""
        opened = self._at(
            "open_run",
            tasks.open_run(lab=self.lab.name, data_folder=folder, data_version=version, train=train, **sections),
        )
        lab = self.lab.name
        raw = self._at("data", tasks.data(lab=lab, data_folder=folder, data_version=opened.output)).output
        prepared = self._at("prepare", tasks.prepare(lab=lab, prepare=sections["prepare"], raw=raw)).output
        return prepared, self._at("validate", tasks.validate(lab=lab, raw=raw, prepared=prepared))

    def train(self, train: Any, prepared: Any, validated: dsl.PipelineTask) -> dsl.PipelineTask:
        """On one machine, or by a TrainJob, as `pipelines.nodes` says."""
        if self.cluster.nodes == 1:
            return self._at("train", tasks.train(lab=self.lab.name, train=train, prepared=prepared).after(validated))
        job = trainjob.options(self.cluster)
        task = tasks.train_together(lab=self.lab.name, train=train, job=job, prepared=prepared).after(validated)
        kubernetes.mount_pvc(task, self.cluster.distributed.claim, trainjob.SHARED)
        return self._at("train_together", task)

    def choose(self, candidates: Any, trainings: Any) -> dsl.PipelineTask:
        return self._at("choose", tasks.choose(candidates=candidates, trainings=trainings))

    def after_training(self, train: Any, prepared: Any, trained: Any, sections: Mapping[str, Any]) -> None:
        """Exports, evaluates and, where the lab is audited, audits the model; then decides on it."""
        ours = {"lab": self.lab.name, "train": train}
        export = tasks.export(**ours, export=sections["export"], prepared=prepared, trained=trained)
        bundle = self._at("export", export).output
        evaluate = tasks.evaluate(**ours, evaluate=sections["evaluate"], prepared=prepared, bundle=bundle)
        evaluated = self._at("evaluate", evaluate).outputs["evaluated"]
        if self.lab.instruments:  # it measures with other labs' champions, which no input names
            evaluate.set_caching_options(False)
        reports = {"evaluated": evaluated}
        if self.lab.audited:
            inputs = {"prepared": prepared, "bundle": bundle, "evaluated": evaluated}
            audit = tasks.audit(**ours, audit=sections["audit"], **inputs)
            reports["audited"] = self._at("audit", audit).outputs["audited"]
        self.decide(train, bundle, reports, sections["gate"])

    def decide(self, train: Any, bundle: Any, reports: Mapping[str, Any], bounds: Any) -> None:
        """Past the gate, and nowhere else, the model is promoted. reports: `evaluated`, of an audited lab `audited`."""
        ours = {"lab": self.lab.name, "train": train, **reports}
        gate = self._at("gate", tasks.gate(**ours, gate=bounds))
        with dsl.If(gate.outputs["Output"] == True, name="PASS or WAIVED"):  # noqa: E712 - Kubeflow's own comparison
            self._at("promote", tasks.promote(**ours, bundle=bundle, decided=gate.outputs["decided"]))

    def _at(self, name: str, task: dsl.PipelineTask) -> dsl.PipelineTask:
        return placed(task, name, self.cluster, self.environment)


def pipeline_of(lab: Lab, raw: Mapping[str, Any], version: str, wiring: Wiring) -> GraphComponent:
    """The pipeline of a lab.

    raw: the sections of params.yaml, whose values are the defaults of the pipeline's parameters. version: the data's,
    or the address of its pin.
    """
    own = _own(lab, raw)

    @dsl.pipeline(
        name=resource_name(lab.name),
        description=f"{lab.name}: from the data's version to the champion, if the gate allows",
    )
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
            prepared, validated = wiring.until_validated(data_folder, data_version, train, sections)
            trained = wiring.train(train, prepared, validated).outputs["trained"]
            wiring.after_training(train, prepared, trained, sections)

    return pipeline


def sweep_of(lab: Lab, raw: Mapping[str, Any], version: str, wiring: Wiring) -> GraphComponent:
    """The pipeline that trains with each of `candidates` (the lab's sections) and goes on with the best of them."""
    own = _own(lab, raw)

    @dsl.pipeline(
        name=f"{resource_name(lab.name)}-sweep",
        description=f"{lab.name}: several trainings, of which the best is judged",
    )
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
            prepared, validated = wiring.until_validated(data_folder, data_version, train, sections)
            with dsl.ParallelFor(candidates, name="candidates", parallelism=wiring.cluster.parallel) as candidate:
                training = wiring.train(candidate, prepared, validated)
            chosen = wiring.choose(candidates, dsl.Collected(training.outputs["trained"]))
            wiring.after_training(chosen.outputs["Output"], prepared, chosen.outputs["trained"], sections)

    return pipeline


def _own(lab: Lab, raw: Mapping[str, Any]) -> dict[str, Any]:
    return {section: (raw.get(section) or {}).get(lab.name, {}) for section in STEP_SECTIONS}
