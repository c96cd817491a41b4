"""What a cluster refuses and the local runner does not see is found before anything is sent: a mutation of each."""

# No `from __future__ import annotations`: Kubeflow's compiler reads types, not their names.

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.json_format import MessageToDict
from kfp import dsl

from components.errors import UserError
from pipelines import ir_check
from pipelines.run_spec import compile_to, request

PROJECT = Path(__file__).resolve().parents[2]
Spec = dict[str, Any]


def documents(lab: str, sweep: bool = False) -> tuple[Spec, Spec]:
    pipeline = request(lab, sweep=["seed=[1, 2]"] if sweep else [], root=PROJECT).pipeline()
    return MessageToDict(pipeline.pipeline_spec), MessageToDict(pipeline.platform_spec)


@pytest.fixture(scope="module")
def audited() -> tuple[Spec, Spec]:
    return documents("faces")


@pytest.fixture(scope="module")
def sweep() -> tuple[Spec, Spec]:
    return documents("digits", sweep=True)


def steps(pipeline: Spec) -> Spec:
    found: Spec = pipeline["components"]["comp-exit-handler-1"]["dag"]["tasks"]
    return found


def promoting(pipeline: Spec) -> Spec:
    found: Spec = pipeline["components"]["comp-condition-2"]["dag"]["tasks"]["promote"]
    return found


def one_artifact_twice(pipeline: Spec, platform: Spec) -> None:
    """As the gate once took the evaluation of a lab without an audit."""
    inputs = steps(pipeline)["gate"]["inputs"]["artifacts"]
    inputs["audited"] = inputs["evaluated"]


def one_artifact_twice_through_a_condition(pipeline: Spec, platform: Spec) -> None:
    """The group of the condition has it under two names."""
    group = steps(pipeline)["condition-2"]["inputs"]["artifacts"]
    group["another"] = group["pipelinechannel--evaluate-evaluated"]
    promoting(pipeline)["inputs"]["artifacts"]["audited"] = {"componentInputArtifact": "another"}


def a_long_name(pipeline: Spec, platform: Spec) -> None:
    pipeline["pipelineInfo"]["name"] = "n" * 58


def an_underscore(pipeline: Spec, platform: Spec) -> None:
    pipeline["pipelineInfo"]["name"] = "digit_generation"


def a_long_task(pipeline: Spec, platform: Spec) -> None:
    tasks = steps(pipeline)
    tasks["t" * 60] = tasks["open-run"]


def a_long_label(pipeline: Spec, platform: Spec) -> None:
    executors = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    executors["exec-train"]["podMetadata"] = {"labels": {"who": "w" * 64}}


def large_parameters(pipeline: Spec, platform: Spec) -> None:
    parameters = pipeline["root"]["inputDefinitions"]["parameters"]
    parameters["train"]["defaultValue"]["text"] = "x" * 130_000


def a_large_command(pipeline: Spec, platform: Spec) -> None:
    pipeline["deploymentSpec"]["executors"]["exec-train"]["container"]["command"].append("x" * 130_000)


def a_large_whole(pipeline: Spec, platform: Spec) -> None:
    """No part of it is too large."""
    for number in range(11):
        pipeline["components"][f"comp-{number}"] = {"text": "x" * 100_000}


def an_optional_parameter_without_a_default(pipeline: Spec, platform: Spec) -> None:
    del pipeline["root"]["inputDefinitions"]["parameters"]["train"]["defaultValue"]


def an_optional_artifact(pipeline: Spec, platform: Spec) -> None:
    group = pipeline["components"]["comp-condition-2"]["inputDefinitions"]["artifacts"]
    group["pipelinechannel--evaluate-evaluated"]["isOptional"] = True


def a_missing_input(pipeline: Spec, platform: Spec) -> None:
    del steps(pipeline)["export"]["inputs"]["artifacts"]["trained"]


def an_artifact_of_a_branch(pipeline: Spec, platform: Spec) -> None:
    """A step after the gate that reads what only a promoted candidate has."""
    group = pipeline["components"]["comp-condition-2"]["dag"]
    selector = {"producerSubtask": "promote", "outputArtifactKey": "promoted"}
    group["outputs"] = {"artifacts": {"promoted": {"artifactSelectors": [selector]}}}
    source = {"producerTask": "condition-2", "outputArtifactKey": "promoted"}
    steps(pipeline)["export"]["inputs"]["artifacts"]["trained"] = {"taskOutputArtifact": source}


def a_step_after_a_branch(pipeline: Spec, platform: Spec) -> None:
    steps(pipeline)["audit"]["dependentTasks"].append("condition-2")


MUTATIONS: dict[Callable[[Spec, Spec], None], str] = {
    one_artifact_twice: "gate takes one artifact, evaluated of evaluate, in two inputs, audited and evaluated",
    one_artifact_twice_through_a_condition: "condition-2 takes one artifact, evaluated of evaluate, in two inputs",
    a_long_name: "has 58 characters, and 57 are the most",
    an_underscore: "'digit_generation' is no name of a Kubernetes object",
    a_long_task: "has a name of over 56 characters",
    a_long_label: "exec-train has a label of over 63 characters, who",
    large_parameters: "the pipeline's default parameters takes 13",
    a_large_command: "the container of exec-train takes 13",
    a_large_whole: "and a Workflow of Argo has 1048576 at most",
    an_optional_parameter_without_a_default: "needs pipelinechannel--train and takes it from train, optional",
    an_optional_artifact: "promote takes evaluated from pipelinechannel--evaluate-evaluated, an optional artifact",
    a_missing_input: "the task export needs trained, and nothing gives it",
    an_artifact_of_a_branch: "the task export takes trained from promote, which a condition may leave out",
    a_step_after_a_branch: "the task audit waits for condition-2, which a condition may leave out",
}


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.__name__)
def test_a_pipeline_that_a_cluster_would_refuse_is_caught(
    mutation: Callable[[Spec, Spec], None], audited: tuple[Spec, Spec]
) -> None:
    pipeline, platform = copy.deepcopy(audited)
    ir_check.check(pipeline, platform)
    mutation(pipeline, platform)
    with pytest.raises(UserError) as refused:
        ir_check.check(pipeline, platform)
    assert MUTATIONS[mutation] in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_loop_and_what_collects_it_hold(sweep: tuple[Spec, Spec]) -> None:
    pipeline, platform = copy.deepcopy(sweep)
    ir_check.check(pipeline, platform)
    inputs = steps(pipeline)["export"]["inputs"]["artifacts"]
    inputs["prepared"] = inputs["trained"]
    with pytest.raises(UserError, match="export takes one artifact, trained of choose, in two inputs"):
        ir_check.check(pipeline, platform)


def test_parameters_that_no_driver_could_take_are_refused_before_they_are_sent() -> None:
    ir_check.check_arguments({"train": {}, "candidates": [{"seed": seed} for seed in range(100)]})
    with pytest.raises(UserError, match="most of them 'candidates', and a driver takes 122880"):
        ir_check.check_arguments({"train": {}, "candidates": [{"text": "x" * 1000}] * 130})


@dsl.component(base_image="image:1", packages_to_install=[], install_kfp_package=False)
def make(made: dsl.Output[dsl.Artifact]):  # type: ignore[no-untyped-def]
    pass


@dsl.component(base_image="image:1", packages_to_install=[], install_kfp_package=False)
def take(one: dsl.Input[dsl.Artifact], other: dsl.Input[dsl.Artifact]):  # type: ignore[no-untyped-def]
    pass


def test_the_check_is_part_of_compiling(tmp_path: Path) -> None:
    """`compile` and `submit` both write the file that a cluster gets."""

    @dsl.pipeline(name="twice")
    def pipeline():  # type: ignore[no-untyped-def]
        made = make().outputs["made"]
        take(one=made, other=made)

    with pytest.raises(UserError, match="the pipeline twice would fail on a cluster: the task take takes one artifact"):
        compile_to(pipeline, tmp_path / "pipeline.yaml")
    assert list(tmp_path.iterdir()) == []
