"""One pipeline over any lab, built from what the lab declares.

No `from __future__ import annotations` here: the compiler reads types, not their names.
"""

from collections.abc import Mapping
from typing import Any

from kfp import dsl
from kfp.dsl.graph_component import GraphComponent

from components.labs import Lab
from components.params import STEP_SECTIONS
from pipelines import tasks
from pipelines.params import Pipelines
from pipelines.placement import placed


def pipeline_of(
    lab: Lab, raw: Mapping[str, Any], version: str, cluster: Pipelines, environment: Mapping[str, str] | None = None
) -> GraphComponent:
    """The pipeline of a lab.

    raw: the sections of params.yaml, whose values are the defaults of the pipeline's parameters. version: the hash of
    the data's pin. environment: as `placed` takes it.
    """
    own = {section: (raw.get(section) or {}).get(lab.name, {}) for section in STEP_SECTIONS}

    def at(name: str, task: dsl.PipelineTask) -> dsl.PipelineTask:
        return placed(task, name, cluster, environment or {})

    @dsl.pipeline(name=lab.name, description=f"{lab.name}: from the data's version to the champion, if the gate allows")
    def pipeline(
        data_version: str = version,
        data_folder: str = raw["data"]["folder"],
        train: dict = raw[lab.name],  # type: ignore[type-arg]
        prepare: dict = own["prepare"],  # type: ignore[type-arg]
        export: dict = own["export"],  # type: ignore[type-arg]
        evaluate: dict = own["evaluate"],  # type: ignore[type-arg]
        audit: dict = own["audit"],  # type: ignore[type-arg]
        gate: dict = own["gate"],  # type: ignore[type-arg]
    ) -> None:
        ours = {"lab": lab.name, "data_folder": data_folder, "data_version": data_version}
        closed = at("close_run", tasks.close_run(lab=lab.name))
        with dsl.ExitHandler(closed, name="steps"):
            opened = at(
                "open_run",
                tasks.open_run(
                    **ours, train=train, prepare=prepare, export=export, evaluate=evaluate, audit=audit, gate=gate
                ),
            )
            raw_data = at("data", tasks.data(**ours).after(opened)).output
            prepared = at("prepare", tasks.prepare(**ours, prepare=prepare, raw=raw_data)).output
            validated = at("validate", tasks.validate(**ours, raw=raw_data, prepared=prepared))
            trained = at("train", tasks.train(**ours, train=train, prepared=prepared).after(validated))
            bundle = at(
                "export",
                tasks.export(
                    **ours, train=train, export=export, prepared=prepared, trained=trained.outputs["trained"]
                ),
            ).output
            evaluated = at(
                "evaluate", tasks.evaluate(**ours, train=train, evaluate=evaluate, prepared=prepared, bundle=bundle)
            ).outputs["evaluated"]
            judged = evaluated
            if lab.audited:
                judged = at(
                    "audit",
                    tasks.audit(
                        **ours, train=train, audit=audit, prepared=prepared, bundle=bundle, evaluated=evaluated
                    ),
                ).outputs["audited"]
            decided = at("gate", tasks.gate(**ours, train=train, gate=gate, evaluated=evaluated, judged=judged))
            with dsl.If(decided.outputs["Output"] == True, name="PASS or WAIVED"):  # noqa: E712 - Kubeflow compares
                at(
                    "promote",
                    tasks.promote(
                        **ours,
                        train=train,
                        bundle=bundle,
                        evaluated=evaluated,
                        judged=judged,
                        decided=decided.outputs["decided"],
                    ),
                )

    return pipeline
