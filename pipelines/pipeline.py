"""One pipeline over any lab, built from what the lab declares; and its sweep, which trains several and takes the best.

No `from __future__ import annotations` here: the compiler reads types, not their names.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from kfp import dsl, kubernetes
from kfp.dsl.graph_component import GraphComponent

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

    def until_validated(self, version: Any, prepare: Any, sections: Mapping[str, Any]) -> tuple[Any, dsl.PipelineTask]:
        """Opens the run, brings the data, prepares and validates it. Returns what was prepared, and the validation.

        prepare: the dataset's block of params.yaml. sections: those of the lab.
        """
        open_run = tasks.open_run(lab=self.lab.name, data_version=version, prepare=prepare, **sections)
        opened = self._at("open_run", open_run).outputs
        of = {"dataset": self.lab.dataset}
        data = tasks.data(**of, data_profile=opened["data_profile"], data_version=opened["data_version"])
        raw = self._at("data", data).output
        prepared = self._at("prepare", tasks.prepare(**of, prepare=prepare, raw=raw)).output
        return prepared, self._at("validate", tasks.validate(**of, raw=raw, prepared=prepared))

    def train(self, train: Any, prepared: Any, validated: dsl.PipelineTask) -> dsl.PipelineTask:
        """On one machine, or by a TrainJob, as `pipelines.nodes` says."""
        if self.cluster.nodes == 1:
            return self._at("train", tasks.train(lab=self.lab.name, train=train, prepared=prepared).after(validated))
        job = trainjob.options(self.cluster)
        task = tasks.train_together(lab=self.lab.name, train=train, job=job, prepared=prepared).after(validated)
        kubernetes.mount_pvc(task, self.cluster.distributed.claim, trainjob.SHARED)
        return self._at("train_together", task)

    def choose(self, candidates: Any, trainings: Any) -> dsl.PipelineTask:
        return self._at("choose", tasks.choose(lab=self.lab.name, candidates=candidates, trainings=trainings))

    def after_training(self, prepared: Any, trained: Any, sections: Mapping[str, Any]) -> None:
        """Exports, evaluates and, where the lab is audited, audits the model; then decides on it."""
        ours = {"lab": self.lab.name, "train": sections["train"]}
        export = tasks.export(**ours, export=sections["export"], prepared=prepared, trained=trained)
        bundle = self._at("export", export).output
        evaluate = tasks.evaluate(**ours, evaluate=sections["evaluate"], prepared=prepared, bundle=bundle)
        evaluated = self._at("evaluate", evaluate).outputs["evaluated"]
        if self.lab.reference_models:  # it measures with other labs' champions, which no input names
            evaluate.set_caching_options(False)
        reports = {"evaluated": evaluated}
        if self.lab.audited:
            inputs = {"prepared": prepared, "bundle": bundle, "evaluated": evaluated}
            audit = tasks.audit(**ours, audit=sections["audit"], **inputs)
            reports["audited"] = self._at("audit", audit).outputs["audited"]
        self.decide(sections["train"], bundle, reports, sections["gate"])

    def decide(self, train: Any, bundle: Any, reports: Mapping[str, Any], bounds: Any) -> None:
        """Past the gate, and nowhere else, the model is promoted. reports: `evaluated`, of an audited lab `audited`."""
        ours = {"lab": self.lab.name, "train": train, **reports}
        gate = self._at("gate", tasks.gate(**ours, gate=bounds))
        with dsl.If(gate.outputs["Output"] == True, name="PASS or WAIVED"):  # noqa: E712 - Kubeflow's own comparison
            self._at("promote", tasks.promote(**ours, gate=bounds, bundle=bundle, decided=gate.outputs["decided"]))

    def _at(self, name: str, task: dsl.PipelineTask) -> dsl.PipelineTask:
        return placed(task, name, self.cluster, self.environment)


def pipeline_of(wiring: Wiring, defaults: Mapping[str, Any]) -> GraphComponent:
    """The pipeline of a lab. defaults: of the pipeline's parameters, by name."""
    lab = wiring.lab

    @dsl.pipeline(
        name=resource_name(lab.name),
        description=f"{lab.name}: from the data's version to the champion, if the gate allows",
    )
    def pipeline(
        data_version: str = defaults["data_version"],
        prepare: dict[str, Any] = defaults["prepare"],
        train: dict[str, Any] = defaults["train"],
        export: dict[str, Any] = defaults["export"],
        evaluate: dict[str, Any] = defaults["evaluate"],
        audit: dict[str, Any] = defaults["audit"],
        gate: dict[str, Any] = defaults["gate"],
    ) -> None:
        sections = {"train": train, "export": export, "evaluate": evaluate, "audit": audit, "gate": gate}
        with dsl.ExitHandler(wiring.closed(), name="steps"):
            prepared, validated = wiring.until_validated(data_version, prepare, sections)
            trained = wiring.train(train, prepared, validated).outputs["trained"]
            wiring.after_training(prepared, trained, sections)

    return pipeline


def sweep_of(wiring: Wiring, defaults: Mapping[str, Any]) -> GraphComponent:
    """The pipeline that trains with each of `candidates` (sections `train`) and goes on with the best of them."""
    lab = wiring.lab

    @dsl.pipeline(
        name=f"{resource_name(lab.name)}-sweep",
        description=f"{lab.name}: several trainings, of which the best is judged",
    )
    def pipeline(
        candidates: list[dict[str, Any]] = [defaults["train"]],  # noqa: B006 - a default for the compiler to read
        data_version: str = defaults["data_version"],
        prepare: dict[str, Any] = defaults["prepare"],
        train: dict[str, Any] = defaults["train"],
        export: dict[str, Any] = defaults["export"],
        evaluate: dict[str, Any] = defaults["evaluate"],
        audit: dict[str, Any] = defaults["audit"],
        gate: dict[str, Any] = defaults["gate"],
    ) -> None:
        sections = {"train": train, "export": export, "evaluate": evaluate, "audit": audit, "gate": gate}
        with dsl.ExitHandler(wiring.closed(), name="steps"):
            prepared, validated = wiring.until_validated(data_version, prepare, sections)
            with dsl.ParallelFor(candidates, name="candidates", parallelism=wiring.cluster.parallel) as candidate:
                training = wiring.train(candidate, prepared, validated)
            chosen = wiring.choose(candidates, dsl.Collected(training.outputs["trained"]))
            best = {**sections, "train": chosen.outputs["Output"]}
            wiring.after_training(prepared, chosen.outputs["trained"], best)

    return pipeline
