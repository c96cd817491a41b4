"""What is compiled: steps and edges of DVC's graph, no way around the gate, what a cluster needs of each task."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import pytest
import yaml

from components.labs import LABS, find
from pipelines import __main__ as command_line
from pipelines import run_spec
from pipelines.config import TASKS
from pipelines.run_spec import Request, compile_to, request
from pipelines.workspace import DATASET_STEPS
from tests.pipelines.graph import Spec, closure, documents, edges, executor, groups, tasks

PROJECT = Path(__file__).resolve().parents[2]
STEPS = ("prepare", "validate", "train", "export", "evaluate", "audit", "gate", "promote")
PIPELINES = [(lab, sweep) for lab in LABS for sweep in (False, True)]


def asked(lab: str, sweep: bool = False, *assignments: str) -> Request:
    course = f"datasets.{find(lab).dataset}.profile=course"  # whatever a machine without network has put to use
    return request(lab, [course, *assignments], ["seed=[1, 2]"] if sweep else [], PROJECT)


def compiled(folder: Path, lab: str, sweep: bool = False, *assignments: str) -> tuple[Spec, Spec]:
    compile_to(asked(lab, sweep, *assignments).pipeline(), folder / "pipeline.yaml")
    return documents(folder / "pipeline.yaml")


@cache
def spec_of(lab: str, sweep: bool = False) -> Spec:
    """A pipeline as params.yaml has it. Compiled once, and only read."""
    with tempfile.TemporaryDirectory() as folder:
        return compiled(Path(folder), lab, sweep)[0]


def test_every_pipeline_is_written_for_kubeflows_page(tmp_path: Path) -> None:
    """And checked for what a cluster would refuse, each lab's and its sweep's."""
    command = [sys.executable, "-m", "pipelines", "compile", "all", "--output", str(tmp_path)]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert {path.name for path in tmp_path.iterdir()} == {f"{asked(*one).name}.yaml" for one in PIPELINES}
    assert all(documents(path) for path in tmp_path.iterdir())


@pytest.mark.parametrize("labs", [None, ["all"], ["mlp"]])
def test_no_lab_and_all_mean_every_lab(labs: list[str] | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stand-ins in place of what is compiled: that the real labs compile, the test above tells."""

    class Asked:
        def __init__(self, lab: str, sweep: Sequence[str] = ()) -> None:
            self.name = f"{lab}-sweep" if sweep else lab

        def pipeline(self) -> str:
            return self.name

    monkeypatch.setattr(command_line, "LABS", ("mlp", "digits"))
    monkeypatch.setattr(command_line, "request", Asked)
    monkeypatch.setattr(run_spec, "compile_to", lambda pipeline, file: file.write_text(pipeline))
    command_line.compile_(labs, tmp_path)
    wanted = ("mlp",) if labs == ["mlp"] else ("mlp", "digits")
    assert {path.stem for path in tmp_path.iterdir()} == {*wanted, *(f"{lab}-sweep" for lab in wanted)}


def dvc_edges(lab: str) -> set[tuple[str, str]]:
    """(earlier, later) of the stages of a lab and its dataset in dvc.yaml: one reads what the other writes."""
    dvc = yaml.safe_load((PROJECT / "dvc.yaml").read_text())
    line = dvc["vars"][0]["labs"][lab]
    subjects = {"${datasets}": line["dataset"], "${labs}": lab}
    found = set()
    for stage, said in dvc["stages"].items():
        if stage == "versions" or (isinstance(said["foreach"], list) and lab not in said["foreach"]):
            continue
        subject = lab if isinstance(said["foreach"], list) else subjects[said["foreach"]]
        values = {"${key}": subject, "${item}": subject} | {f"${{item.{key}}}": value for key, value in line.items()}
        for dependency in said["do"]["deps"]:
            for placeholder, value in values.items():
                dependency = dependency.replace(placeholder, value)
            _, of, step = dependency.split("/")[:3]
            if step in STEPS and of == (line["dataset"] if step in DATASET_STEPS else lab):
                found.add((step, stage))
    return found


@pytest.mark.parametrize("lab", LABS)
def test_from_prepare_on_both_graphs_have_the_same_steps_and_order(lab: str) -> None:
    """Edges are compared with what they imply: DVC's gate waits for the evaluation by way of the audit."""
    spec = spec_of(lab)
    # Kubeflow's own condition is between gate and promote: what is in it waits for it.
    ours = {(a, b) for a, b in closure(edges(spec)) if a in STEPS and b in STEPS}
    assert ours == closure(dvc_edges(lab))
    assert set(tasks(spec)) & set(STEPS) == {step for edge in dvc_edges(lab) for step in edge}
    assert set(tasks(spec)) - set(STEPS) == {"open-run", "data", "close-run"}


@pytest.mark.parametrize(("lab", "sweep"), PIPELINES)
def test_nothing_is_promoted_but_through_the_gate(lab: str, sweep: bool) -> None:
    spec = spec_of(lab, sweep)
    promoting = [name for name in tasks(spec) if "promote(" in executor(spec, name)["command"][-1]]
    assert promoting == ["promote"]
    condition = groups(spec)["promote"][-1]
    assert condition["triggerPolicy"]["condition"] == "inputs.parameter_values['pipelinechannel--gate-Output'] == true"
    source = condition["inputs"]["parameters"]["pipelinechannel--gate-Output"]["taskOutputParameter"]
    assert source == {"outputParameterKey": "Output", "producerTask": "gate"}
    decided = tasks(spec)["promote"]["inputs"]["artifacts"]["decided"]["componentInputArtifact"]
    origin = condition["inputs"]["artifacts"][decided]["taskOutputArtifact"]
    assert origin == {"outputArtifactKey": "decided", "producerTask": "gate"}
    read = tasks(spec)["gate"]["inputs"]["artifacts"]
    makers = {name: source["taskOutputArtifact"]["producerTask"] for name, source in read.items()}
    audited = {"audited": "audit"} if find(lab).audited else {}
    assert makers == {"evaluated": "evaluate", **audited}, "an audit is an input of audited labs only"


@pytest.mark.parametrize("lab", LABS)
def test_the_run_is_closed_however_the_steps_end(lab: str) -> None:
    spec = spec_of(lab)
    closing = tasks(spec)["close-run"]
    assert closing["triggerPolicy"]["strategy"] == "ALL_UPSTREAM_TASKS_COMPLETED"
    (handler,) = closing["dependentTasks"]
    others = [name for name in tasks(spec) if name != "close-run"]
    assert all(groups(spec)[name][0]["componentRef"]["name"] == f"comp-{handler}" for name in others)


def test_what_depends_on_the_champion_is_never_taken_from_the_cache(tmp_path: Path) -> None:
    spec, _ = compiled(tmp_path, "faces", False, "pipelines.image=registry.example/labs@sha256:" + "0" * 64)
    cached = {name for name, task in tasks(spec).items() if task["cachingOptions"].get("enableCache")}
    assert cached == {"data", "prepare", "validate", "train", "export", "evaluate"}
    assert tasks(spec)["data"]["inputs"]["parameters"].keys() == {"dataset", "data_profile", "data_version"}


def test_what_is_measured_with_another_labs_champion_is_never_taken_from_the_cache(tmp_path: Path) -> None:
    spec, _ = compiled(tmp_path, "digit_generation", False, "pipelines.image=registry.example/labs@sha256:" + "0" * 64)
    assert find("digit_generation").reference_models
    assert not tasks(spec)["evaluate"]["cachingOptions"].get("enableCache")
    assert tasks(spec)["export"]["cachingOptions"]["enableCache"]


def test_outputs_of_an_image_that_may_change_are_never_taken_from_the_cache(tmp_path: Path) -> None:
    spec, _ = compiled(tmp_path, "music", False, "pipelines.image=registry.example/labs:latest")
    assert [name for name, task in tasks(spec).items() if task["cachingOptions"]] == []


def test_each_step_takes_its_own_numbers_only(tmp_path: Path) -> None:
    """Or a gate's new bound would train the model again."""
    spec, _ = compiled(tmp_path, "faces")
    own = {name: set(task["inputs"]["parameters"]) - {"lab", "dataset"} for name, task in tasks(spec).items()}
    assert own["prepare"] == {"prepare"}
    assert own["validate"] == set()
    assert own["train"] == {"train"}
    assert own["export"] == {"train", "export"}
    assert own["evaluate"] == {"train", "evaluate"}
    assert own["gate"] == {"train", "gate"}


@pytest.mark.parametrize("lab", LABS)
def test_nothing_is_installed_at_run_time_and_every_task_runs_in_the_one_image(lab: str) -> None:
    spec = spec_of(lab)
    image = asked(lab).cluster.image
    for name in tasks(spec):
        container = executor(spec, name)
        assert container["image"] == image, name
        assert "pip" not in " ".join(container["command"]).split(), name


def test_only_promote_gets_the_key_that_signs(tmp_path: Path) -> None:
    """Public keys go to the tasks that read what was promoted. A service's key is named in the environment instead."""
    spec, platform = compiled(tmp_path, "faces", False)
    placed = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    secrets = {name: said["secretAsVolume"] for name, said in placed.items() if "secretAsVolume" in said}
    assert [(name, [one["mountPath"] for one in mounts]) for name, mounts in secrets.items()] == [
        ("exec-promote", ["/signing-key"])
    ]
    assert {name for name, said in placed.items() if "configMapAsVolume" in said} == {"exec-gate", "exec-promote"}
    told = {one["name"]: one.get("value") for one in executor(spec, "promote")["env"]}
    assert told["SIGNING_KEY"] == "/signing-key/signing.key"
    assert told["SIGNING_PUBLIC_KEYS"] == "/signing-keys"
    spec, platform = compiled(tmp_path, "mlp", False, "pipelines.signing={secret: '', public_keys: ''}")
    assert "secretAsVolume" not in str(platform)


def test_a_cluster_gets_resources_secrets_time_and_identity_from_params_yaml(tmp_path: Path) -> None:
    spec, platform = compiled(
        tmp_path,
        "music",
        False,
        "pipelines.secrets=[{name: mlflow, variables: {password: MLFLOW_TRACKING_PASSWORD}}]",
        "pipelines.tasks.train={cpu: '8', memory: 32Gi, gpus: 2, gpu: nvidia.com/mig-3g.40gb, minutes: 90, retries: 5}",
        "pipelines.node_selector={accelerator: h200}",
        "pipelines.checkpoints=training",
    )
    train = executor(spec, "train")
    assert train["resources"]["resourceCpuRequest"] == "8"
    assert "resourceCpuLimit" not in train["resources"], "idle cores are for whoever has work"
    assert train["resources"]["resourceMemoryRequest"] == "32Gi"
    assert train["resources"]["accelerator"]["resourceType"] == "nvidia.com/mig-3g.40gb"
    assert train["resources"]["accelerator"]["resourceCount"] == "2"
    assert tasks(spec)["train"]["retryPolicy"]["maxRetryCount"] == 5
    placed = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    assert placed["exec-train"]["tolerations"] == [
        {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}
    ]
    assert placed["exec-train"]["nodeSelector"]["labels"] == {"accelerator": "h200"}
    assert placed["exec-train"]["activeDeadlineSeconds"] == str(90 * 60)
    assert {"name": "CHECKPOINTS", "value": "/checkpoints"} in train["env"]
    assert placed["exec-train"]["pvcMount"][0]["mountPath"] == "/checkpoints"
    assert "tolerations" not in placed["exec-prepare"]
    for name, said in placed.items():
        assert said["securityContext"] == {"runAsNonRoot": True, "runAsUser": "10001", "runAsGroup": "10001"}, name
        mounts = {mount["mountPath"]: mount for mount in said["emptyDirMounts"]}
        assert mounts["/dev/shm"]["medium"] == "Memory", name  # noqa: S108
        assert "/tmp" in mounts, name  # noqa: S108
        (secret,) = said["secretAsEnv"]
        assert (secret["secretName"], secret["keyToEnv"]) == (
            "mlflow",
            [{"secretKey": "password", "envVar": "MLFLOW_TRACKING_PASSWORD"}],
        )
        assert {"name": "REPRO_RUN", "fieldPath": "metadata.labels['pipeline/runid']"} in said["fieldPathAsEnv"], name


def test_a_retry_waits_longer_each_time_and_bad_data_is_not_tried_twice() -> None:
    spec = spec_of("faces")
    policy = tasks(spec)["export"]["retryPolicy"]
    assert policy["backoffFactor"] == int(policy["backoffFactor"]) > 1, "Argo reads a whole number"
    assert "retryPolicy" not in tasks(spec)["validate"]
    assert "retryPolicy" not in tasks(spec)["open-run"]


def test_a_task_that_fails_late_is_tried_again_all_the_same(tmp_path: Path) -> None:
    """What Kubeflow calls the longest backoff is for Argo the end of all attempts, counted from the first start."""
    spec, _ = compiled(tmp_path, "digits")
    needs = asked("digits").cluster.needs("train")
    policy = tasks(spec)["train"]["retryPolicy"]
    assert policy["maxRetryCount"] == needs.retries > 0
    window = float(policy["backoffMaxDuration"].removesuffix("s"))
    assert window >= (needs.retries + 1) * needs.minutes * 60


def test_several_machines_take_the_place_of_the_plain_task(tmp_path: Path) -> None:
    plain = spec_of("digits")
    spec, platform = compiled(tmp_path, "digits", False, "pipelines.nodes=4")
    assert set(tasks(spec)) == set(tasks(plain)) - {"train"} | {"train-together"}
    renamed = {tuple(name.replace("train-together", "train") for name in edge) for edge in edges(spec)}
    assert renamed == edges(plain)
    mounted = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]["exec-train-together"]["pvcMount"]
    assert [(mount["mountPath"], mount["constant"]) for mount in mounted] == [("/shared", "training")]


def test_the_section_names_tasks_that_there_are(tmp_path: Path) -> None:
    """So a task that is renamed takes its needs with it."""
    spec = spec_of("faces", sweep=True)
    together, _ = compiled(tmp_path, "faces", False, "pipelines.nodes=2")
    there = set(tasks(spec)) | set(tasks(together))
    assert {name.replace("_", "-") for name in TASKS} <= there
    assert set(asked("faces").cluster.tasks) <= set(TASKS)
