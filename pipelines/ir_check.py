"""What a cluster refuses in a compiled pipeline and Kubeflow's local runner does not see.

Read in the sources of Kubeflow Pipelines 2.17 (driver, API server, compiler to Argo) and of Argo Workflows 4.0; the
first rule was met on a cluster. Every problem is one sentence that names the task.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from components.errors import UserError

Spec = Mapping[str, Any]

LABEL_LENGTH = 63
"""Kubernetes' limit of names and of values of labels."""
SUFFIX_LENGTH = 6
"""What Kubernetes adds to the pipeline's name for a run's Workflow, whose name is then a label of every pod."""
DRIVER = "-driver"
"""What Kubeflow adds to a task's name for the pod that resolves its inputs."""
RESOURCE_NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
ARGUMENT_BYTES = 128 * 1024
"""Linux's limit of one argument of a process. Drivers get the whole specification of a component, a task, a container,
and all of a run's parameters, as an argument each; the launcher gets all that a task reads and writes as one."""
ARGUMENT_REST = 8 * 1024
"""Room for the addresses of artifacts, which are written into the launcher's argument beside the parameters."""
WORKFLOW_BYTES = 1024 * 1024
"""Argo's limit of a Workflow, below etcd's 1.5 MiB. It is the pipeline's specification and the state of its nodes."""


def check(pipeline: Spec, platform: Spec) -> None:
    """Raises UserError that says what a cluster would refuse. pipeline, platform: the documents of a compiled file."""
    problems = [*_names(pipeline, platform), *_sizes(pipeline, platform)]
    for task in _tasks(pipeline):
        problems += [*_twice(task), *_unresolved(task), *_maybe_missing(task)]
    _refuse(f"the pipeline {pipeline['pipelineInfo']['name']}", problems)


def check_arguments(arguments: Mapping[str, Any]) -> None:
    """Raises UserError where the parameters of a run are too many for one argument of a driver."""
    size = len(json.dumps(arguments).encode())
    if size > ARGUMENT_BYTES - ARGUMENT_REST:
        largest = max(arguments, key=lambda name: len(json.dumps(arguments[name])))
        _refuse("these parameters", [f"they take {size} bytes, most of them '{largest}', {_limit()}"])


def _limit() -> str:
    return f"and a driver takes {ARGUMENT_BYTES - ARGUMENT_REST}"


def _refuse(what: str, problems: list[str]) -> None:
    if problems:
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        raise UserError(f"{what} would fail on a cluster: {problems[0]}{more}")


@dataclass(frozen=True)
class Task:
    """A task, and the groups around it (exit handler, condition, loop), the outermost first: task and component."""

    pipeline: Spec
    name: str
    spec: Spec
    around: tuple[tuple[str, Spec, Spec], ...]

    @property
    def component(self) -> Spec:
        return _component(self.pipeline, self.spec)

    @property
    def group(self) -> Spec:
        """The component whose inputs the task's own may refer to."""
        return self.around[-1][2] if self.around else self.pipeline["root"]

    def inputs(self, kind: str) -> Mapping[str, Spec]:
        """kind: artifacts or parameters."""
        found: Mapping[str, Spec] = self.spec.get("inputs", {}).get(kind, {})
        return found


@dataclass(frozen=True)
class Origin:
    """The task that makes an artifact or a parameter, by its path through the groups, and the output's name."""

    path: tuple[str, ...]
    output: str


def _tasks(pipeline: Spec) -> Iterator[Task]:
    yield from _walk(pipeline, pipeline["root"], ())


def _walk(pipeline: Spec, component: Spec, around: tuple[tuple[str, Spec, Spec], ...]) -> Iterator[Task]:
    for name, spec in component["dag"]["tasks"].items():
        yield Task(pipeline, name, spec, around)
        inner = _component(pipeline, spec)
        if "dag" in inner:
            yield from _walk(pipeline, inner, (*around, (name, spec, inner)))


def _component(pipeline: Spec, task: Spec) -> Spec:
    found: Spec = pipeline["components"][task["componentRef"]["name"]]
    return found


def _twice(task: Task) -> Iterator[str]:
    """ML Metadata has one event for each execution, artifact and direction: the second of two makes the driver fail."""
    seen: dict[Origin, str] = {}
    for name, source in sorted(task.inputs("artifacts").items()):
        for origin in _origins(task.pipeline, task.around, source):
            if origin in seen:
                yield (
                    f"the task {task.name} takes one artifact, {origin.output} of {origin.path[-1]}, in two inputs, "
                    f"{seen[origin]} and {name}"
                )
            seen[origin] = name


def _origins(pipeline: Spec, around: tuple[tuple[str, Spec, Spec], ...], source: Spec) -> Iterator[Origin]:
    """Where an input comes from, through the groups around the task, and into those that made it."""
    for key in ("componentInputArtifact", "componentInputParameter"):
        if key in source and around:
            spec = around[-1][1]
            kind = "artifacts" if key == "componentInputArtifact" else "parameters"
            outer = spec.get("inputs", {}).get(kind, {}).get(source[key])
            if outer is not None:
                yield from _origins(pipeline, around[:-1], outer)
    for key, output in (("taskOutputArtifact", "outputArtifactKey"), ("taskOutputParameter", "outputParameterKey")):
        if key in source:
            path = tuple(name for name, _, _ in around)
            scope = around[-1][2] if around else pipeline["root"]
            yield from _inside(pipeline, scope, path, source[key]["producerTask"], source[key][output])


def _inside(pipeline: Spec, scope: Spec, path: tuple[str, ...], producer: str, output: str) -> Iterator[Origin]:
    component = _component(pipeline, scope["dag"]["tasks"][producer])
    if "dag" not in component:
        yield Origin((*path, producer), output)
        return
    outputs = component["dag"].get("outputs", {})
    for selector in outputs.get("artifacts", {}).get(output, {}).get("artifactSelectors", ()):
        key = selector["outputArtifactKey"]
        yield from _inside(pipeline, component, (*path, producer), selector["producerSubtask"], key)
    value = outputs.get("parameters", {}).get(output, {})
    one = [value["valueFromParameter"]] if "valueFromParameter" in value else []
    for selector in (*one, *value.get("valueFromOneof", {}).get("parameterSelectors", ())):
        key = selector["outputParameterKey"]
        yield from _inside(pipeline, component, (*path, producer), selector["producerSubtask"], key)


def _unresolved(task: Task) -> Iterator[str]:
    """A driver looks up every input that a task names, and needs every other that has no default."""
    wanted = task.component.get("inputDefinitions", {})
    offered = task.group.get("inputDefinitions", {})
    for name, source in task.inputs("artifacts").items():
        outer = source.get("componentInputArtifact")
        if outer and offered.get("artifacts", {}).get(outer, {}).get("isOptional"):
            yield f"the task {task.name} takes {name} from {outer}, an optional artifact: a driver finds none"
    for name, source in task.inputs("parameters").items():
        outer = source.get("componentInputParameter")
        given = offered.get("parameters", {}).get(outer, {}) if outer else {}
        may_be_null = given.get("isOptional") and "defaultValue" not in given
        if may_be_null and not wanted.get("parameters", {}).get(name, {}).get("isOptional"):
            yield f"the task {task.name} needs {name} and takes it from {outer}, optional and without a default"
    for kind in ("artifacts", "parameters"):
        for name, definition in wanted.get(kind, {}).items():
            needed = not definition.get("isOptional") and "defaultValue" not in definition
            if needed and name not in task.inputs(kind) and not _is_item(task, name):
                yield f"the task {task.name} needs {name}, and nothing gives it"


def _is_item(task: Task, name: str) -> bool:
    """Whether an input is the item of the loop that the task is."""
    return bool(task.spec.get("parameterIterator", {}).get("itemInput") == name)


def _maybe_missing(task: Task) -> Iterator[str]:
    """Outputs of a branch exist only where the branch ran; a task outside waits for it in vain, or is left out."""
    sources = [*task.inputs("artifacts").items(), *task.inputs("parameters").items()]
    own = tuple(name for name, _, _ in task.around)
    for name, source in sources:
        for origin in _origins(task.pipeline, task.around, source):
            for branch in _branches(task.pipeline, origin.path):
                if branch != own[: len(branch)]:
                    yield f"the task {task.name} takes {name} from {origin.path[-1]}, which a condition may leave out"
    for other in task.spec.get("dependentTasks", ()):
        # Argo starts a task when all that it waits for have succeeded, and none that was left out has.
        exits = task.spec.get("triggerPolicy", {}).get("strategy") == "ALL_UPSTREAM_TASKS_COMPLETED"
        if not exits and _is_branch(task.group["dag"]["tasks"][other]):
            yield f"the task {task.name} waits for {other}, which a condition may leave out"


def _branches(pipeline: Spec, path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """The groups on a path that a condition may leave out, each by its own path."""
    scope: Spec = pipeline["root"]
    for depth, name in enumerate(path, start=1):
        task = scope["dag"]["tasks"][name]
        if _is_branch(task):
            yield path[:depth]
        scope = _component(pipeline, task)


def _is_branch(task: Spec) -> bool:
    return bool(task.get("triggerPolicy", {}).get("condition"))


def _names(pipeline: Spec, platform: Spec) -> Iterator[str]:
    name = pipeline["pipelineInfo"]["name"]
    if not RESOURCE_NAME.fullmatch(name):
        yield f"its name '{name}' is no name of a Kubernetes object: small letters, digits and '-'"
    if len(name) > LABEL_LENGTH - SUFFIX_LENGTH:
        yield f"its name '{name}' has {len(name)} characters, and {LABEL_LENGTH - SUFFIX_LENGTH} are the most"
    for task in _tasks(pipeline):
        if len(task.name + DRIVER) > LABEL_LENGTH:
            yield f"the task {task.name} has a name of over {LABEL_LENGTH - len(DRIVER)} characters"
    for executor, said in _executors(platform).items():
        metadata = said.get("podMetadata", {})
        for key, value in {**metadata.get("labels", {}), **dict.fromkeys(metadata.get("annotations", {}), "")}.items():
            if len(key.rpartition("/")[2]) > LABEL_LENGTH or len(str(value)) > LABEL_LENGTH:
                yield f"{executor} has a label of over {LABEL_LENGTH} characters, {key}"
        for volume in said.get("emptyDirMounts", ()):
            if len(volume["volumeName"]) > LABEL_LENGTH:
                yield f"{executor} has a volume with a name of over {LABEL_LENGTH} characters, {volume['volumeName']}"


def _executors(platform: Spec) -> Mapping[str, Spec]:
    kubernetes = platform.get("platforms", {}).get("kubernetes", {})
    found: Mapping[str, Spec] = kubernetes.get("deploymentSpec", {}).get("executors", {})
    return found


def _sizes(pipeline: Spec, platform: Spec) -> Iterator[str]:
    parts = {f"the component {name}": spec for name, spec in pipeline["components"].items()}
    parts |= {f"the task {task.name}": task.spec for task in _tasks(pipeline)}
    parts |= {f"the container of {name}": spec for name, spec in pipeline["deploymentSpec"]["executors"].items()}
    defined = pipeline["root"].get("inputDefinitions", {}).get("parameters", {})
    parts["the pipeline's default parameters"] = {name: one.get("defaultValue") for name, one in defined.items()}
    for what, spec in parts.items():
        if (size := len(json.dumps(spec).encode())) > ARGUMENT_BYTES - ARGUMENT_REST:
            yield f"{what} takes {size} bytes, {_limit()}"
    if (size := len(json.dumps([pipeline, platform]).encode())) > WORKFLOW_BYTES:
        yield f"it takes {size} bytes, and a Workflow of Argo has {WORKFLOW_BYTES} at most"
