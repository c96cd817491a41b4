"""What every lab promises: a kill costs nothing, a bundle is what was trained, and its gate's figures are measured."""

from __future__ import annotations

import json
import logging
import math
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import onnx
import pytest
import torch

from components.bundle import Bundle
from components.config import LabParams, TrainParams
from components.datasets import find_dataset
from components.errors import BundleError
from components.files import read_json
from components.labs import LABS, Inputs, find
from components.onnx.verification import ALLOWED, CONTRIB, STANDARD
from components.params import load, load_dataset
from components.records import AuditReport, Decision, EvaluationReport, read_record
from components.settings import project_root
from components.sources.catalogue import packages_of, raw_folder
from components.steps.audit import audit
from components.steps.evaluate import evaluate
from components.steps.export import export
from components.steps.gate import gate
from components.steps.train import train
from tests.chat_model import write_gguf
from tests.components.bundles import PROVENANCE
from tests.workspace import SMOKE, overlaid

AUDITED = [name for name in LABS if find(name).audited]
EPOCHS = 3
"""So that a training that was killed in its second epoch has one more to go wrong in."""
SMALLER: dict[str, dict[str, Any]] = {name: {"train": {"max_epochs": EPOCHS}} for name in LABS}
SMALLER["music"]["evaluate"] = {"requests": 1, "redraws": 16, "max_length": 300}
SMALLER["faces"]["audit"] = {"small_cell": 5}
SMALLER["chat"]["train"]["max_tokens"] = 900
"""Laid over SMOKE: what an untrained model is asked for takes most of the time, and groups of a slice are small."""
PRETRAINED = {"smollm2": write_gguf}
"""What writes a small stand-in for pretrained weights into a folder, by their name: the real ones take minutes."""
OTHER_MODELS: dict[str, tuple[str, dict[str, Any]]] = {
    "faces-dbvae": ("faces", {"model": "dbvae", "histogram_faces": 64}),
    "digit_generation-gan": ("digit_generation", {"model": "gan"}),
    "cartpole-reinforce": ("cartpole", {"algorithm": "reinforce"}),
    "cartpole-dqn": ("cartpole", {"algorithm": "dqn"}),
}
"""Models that keep more between two epochs than a lab's default does: latents of faces, a second network, a replay
memory."""
MODELS = {name: (name, dict[str, Any]()) for name in LABS} | OTHER_MODELS


@dataclass(frozen=True)
class Steps:
    """The steps of each lab on a small slice of the real data. A step runs when its folder is first asked for."""

    folder: Path

    def params(self, name: str) -> LabParams:
        return load(find(name), self.folder / "params.yaml")

    def train_params(self, model: str) -> TrainParams:
        name, changed = MODELS[model]
        return self.params(name).train.model_copy(update=changed)

    def inputs(self, name: str) -> Inputs:
        dataset = find_dataset(find(name).dataset)
        prepared = self.folder / "datasets" / dataset.name
        if not prepared.exists():
            params = load_dataset(dataset, self.folder / "params.yaml")
            raw = project_root() / raw_folder(dataset.name, params.profile)
            if not raw.exists() and not packages_of(dataset.name):
                pytest.skip(f"no {dataset.name}: `make data` fetches them")
            prepared.mkdir(parents=True)
            dataset.prepare(raw, prepared, params)
        return Inputs(prepared, {weights: self.pretrained(weights) for weights in find(name).pretrained})

    def pretrained(self, name: str) -> Path:
        """A small stand-in where there is one, else the real weights."""
        if name in PRETRAINED:
            folder = self.folder / "pretrained" / name
            return folder if folder.exists() else PRETRAINED[name](folder)
        folder = project_root() / raw_folder(name, "course")
        if not folder.exists():
            pytest.skip(f"no {name}: `make data` fetches it")
        return folder

    def trained(self, model: str) -> Path:
        """By the name of a lab, or of one of the other models."""
        name, out = MODELS[model][0], self.folder / model / "train"
        if not out.exists():
            train(find(name), self.train_params(model), self.inputs(name), out, self.folder / model / "checkpoints")
        return out

    def exported(self, name: str) -> Path:
        out = self.folder / name / "export"
        if not out.exists():
            export(find(name), self.params(name), PROVENANCE, self.inputs(name), self.trained(name), out)
        return out

    def references(self, name: str) -> dict[str, Path]:
        return {other: self.exported(other) for other in find(name).reference_models}

    def evaluated(self, name: str) -> Path:
        out = self.folder / name / "evaluate"
        if not out.exists():
            bundle, params = self.exported(name), self.params(name)
            evaluate(find(name), params, self.inputs(name), bundle, out, self.references(name))
        return out

    def audited(self, name: str) -> Path:
        """Where it is called there must be an MLflow database: it asks who the champion is."""
        out = self.folder / name / "audit"
        if not out.exists():
            audit(find(name), self.params(name), self.inputs(name), self.exported(name), self.evaluated(name), out)
        return out


@pytest.fixture(scope="module")
def steps(tmp_path_factory: pytest.TempPathFactory) -> Steps:
    folder = tmp_path_factory.mktemp("labs")
    overlaid(project_root() / "params.yaml", SMOKE, folder / "params.yaml")
    overlaid(folder / "params.yaml", SMALLER, folder / "params.yaml")
    return Steps(folder)


CLOCKS = ("history.seconds", "curve.seconds")
"""Seconds of a training, for its report."""


def weights(trained: Path) -> dict[str, torch.Tensor]:
    """All of the state but what a clock decides."""
    state: dict[str, torch.Tensor] = torch.load(trained / "model.ckpt", weights_only=True)["state_dict"]
    return {name: tensor for name, tensor in state.items() if name not in CLOCKS}


def equal(first: Mapping[str, torch.Tensor], second: Mapping[str, torch.Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


@dataclass(frozen=True)
class Training:
    """A training in a process of its own. `out` and `checkpoints` are folders in `folder`."""

    lab: str
    params: TrainParams
    inputs: Inputs
    folder: Path
    seeded: bool = True
    """Whether every step has a seed of its own, as the project's trainings do."""

    def run(self) -> Path:
        assert self._process(None) == 0
        return self.folder / "out"

    def killed(self, moment: str | int) -> None:
        """It dies before it starts the epoch of that number, or at `CHECKPOINT`."""
        assert self._process(moment) == -signal.SIGKILL

    def here(self) -> Path:
        """In this process."""
        train(find(self.lab), self.params, self.inputs, self.folder / "out", self.folder / "checkpoints")
        return self.folder / "out"

    def _process(self, moment: str | int | None) -> int | None:
        # It forks from a server that has imported the slow libraries already.
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["tests.preloaded"])
        process = context.Process(target=_train, args=(self, moment))
        process.start()
        process.join()
        return process.exitcode


CHECKPOINT = "second checkpoint"
"""When a training is about to put its second checkpoint in the first one's place."""


def _train(training: Training, moment: str | int | None) -> None:
    from components.training.callbacks import EpochLine, StepSeed

    die = partial(os.kill, os.getpid(), signal.SIGKILL)

    def watch(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "os.rename" and str(arguments[1]).endswith("last.ckpt") and Path(arguments[1]).exists():
            die()

    def before_epoch(self: EpochLine, trainer: Any, module: Any) -> None:
        if trainer.current_epoch == moment:
            die()

    if moment == CHECKPOINT:
        sys.addaudithook(watch)
    EpochLine.on_train_epoch_start = before_epoch  # type: ignore[method-assign, assignment]
    if not training.seeded:
        del StepSeed.on_train_batch_start
    training.here()


def resumed(training: Training, steps: Steps, model: str, caplog: pytest.LogCaptureFixture) -> bool:
    """Whether it goes on where it was killed, to the weights and the curve of a training that never was."""
    whole = steps.trained(model)
    caplog.clear()
    with caplog.at_level(logging.INFO, "components"):
        found = training.here()
    assert f"resuming {training.lab} from the last epoch boundary" in caplog.text
    assert (found / "curve.csv").read_text() == (whole / "curve.csv").read_text()
    return equal(weights(whole), weights(found))


@pytest.mark.parametrize("model", MODELS)
def test_a_training_killed_in_and_between_its_epochs_ends_as_if_it_never_had_been(
    model: str, steps: Steps, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    lab = MODELS[model][0]
    training = Training(lab, steps.train_params(model), steps.inputs(lab), tmp_path)
    for moment in (1, CHECKPOINT, 2):
        training.killed(moment)
    assert resumed(training, steps, model, caplog)


def test_with_dropout_a_resumed_training_would_end_otherwise_if_steps_had_no_seeds(
    steps: Steps, tmp_path: Path
) -> None:
    """So the test above can fail."""
    params = steps.train_params("music")
    assert params.model_dump()["output_dropout"] > 0
    whole, killed = (
        Training("music", params, steps.inputs("music"), tmp_path / name, seeded=False) for name in ("whole", "killed")
    )
    killed.killed(1)
    assert not equal(weights(whole.run()), weights(killed.run()))


@pytest.mark.parametrize("name", LABS)
def test_its_graphs_compute_what_the_model_does(name: str, steps: Steps) -> None:
    """Within the tolerance; those of int8 differ, and evaluation says what that costs."""
    bundle, report = Bundle.open(steps.exported(name), name), read_json(steps.exported(name) / "parity.json")
    tolerance = steps.params(name).model_dump()["export"]["parity_tolerance"]
    for graph in bundle.manifest.graphs:
        assert [cases for part, cases in report.items() if cases and (graph == part or graph.startswith(f"{part}_"))]
    for graph, cases in report.items():
        for case in cases if not graph.startswith("int8") else ():
            for output, difference in case.items():
                allowed = 1 if output == "images" else tolerance  # bytes are rounded
                assert output == "shape" or difference <= allowed, (graph, output, case)


def nodes(graph: onnx.GraphProto | onnx.FunctionProto) -> Iterator[onnx.NodeProto]:
    """Nodes of a graph and of all graphs inside its nodes."""
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            for inner in (attribute.g, *attribute.graphs):
                yield from nodes(inner)


@pytest.mark.parametrize("name", LABS)
def test_its_graphs_hold_only_operators_that_are_allowed(name: str, steps: Steps) -> None:
    for path in steps.exported(name).glob("*.onnx"):
        model = onnx.load(path)
        found = {(each.domain, each.op_type) for part in (model.graph, *model.functions) for each in nodes(part)}
        others = {pair for pair in found if pair[0] not in STANDARD}
        assert others <= {(CONTRIB, operator) for operator in ALLOWED}, path.name


@pytest.mark.parametrize("name", LABS)
def test_a_bundle_with_one_wrong_byte_is_refused(name: str, steps: Steps, tmp_path: Path) -> None:
    folder = tmp_path / "bundle"
    shutil.copytree(steps.exported(name), folder)
    digest = Bundle.open(folder, name).digest
    for path in sorted(folder.iterdir()):
        content = path.read_bytes()
        for place in (0, len(content) // 2, len(content) - 1):
            changed = content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]
            if path.suffix == ".json" and says_the_same(changed, content):
                continue
            path.write_bytes(changed)
            with pytest.raises(BundleError):
                Bundle.open(folder, name)
        path.write_bytes(content)
    assert Bundle.open(folder, name).digest == digest


def says_the_same(changed: bytes, content: bytes) -> bool:
    """Whether the wrong byte is a digit that no float keeps: 0.22697374486236698 is 0.22697374486236697."""
    try:
        same: bool = json.loads(changed) == json.loads(content)
    except ValueError:
        return False
    return same


@pytest.mark.parametrize("name", LABS)
def test_the_same_weights_exported_twice_have_one_digest(name: str, steps: Steps, tmp_path: Path) -> None:
    first = Bundle.open(steps.exported(name)).digest
    again = export(find(name), steps.params(name), PROVENANCE, steps.inputs(name), steps.trained(name), tmp_path / "b")
    assert again.digest == first


def runtimes(name: str) -> list[str]:
    """Modules of the lab's runtime, and of its family's where it has one."""
    declared = {kind.__module__ for kind in type(find(name)).__mro__}
    halves = [module for module in declared if module.startswith(("components.labs.", "components.families."))]
    folders = [Path(str(sys.modules[module].__file__)).parent for module in halves]
    files = [path for folder in folders for path in (folder / "runtime.py", *(folder / "runtime").glob("*.py"))]
    found = [path.relative_to(project_root()).with_suffix("") for path in files if path.exists()]
    return [".".join(path.parts).removesuffix(".__init__") for path in found]


@pytest.mark.parametrize("name", LABS)
def test_what_serves_it_loads_no_torch(name: str, steps: Steps) -> None:
    modules = runtimes(name)
    assert modules
    script = "\n".join(f"import {module}" for module in modules)
    script += f"""
import sys
from pathlib import Path
from components.bundle import Bundle
bundle = Bundle.open(Path({str(steps.exported(name))!r}), {name!r})
print([bundle.session(graph).get_providers() for graph in bundle.manifest.graphs])
sys.exit("torch" in sys.modules or "pytorch_lightning" in sys.modules)
"""
    subprocess.run([sys.executable, "-c", script], cwd=project_root(), check=True)


def measured(steps: Steps, name: str) -> dict[str, float]:
    """By the evaluation, and by the audit where there is one."""
    found = dict(read_record(steps.evaluated(name) / "evaluation.json", EvaluationReport).metrics)
    if find(name).audited:
        found |= read_record(steps.audited(name) / "audit.json", AuditReport).metrics
    return found


@pytest.mark.usefixtures("workplace")
@pytest.mark.parametrize("name", LABS)
def test_every_figure_that_its_gate_bounds_and_its_headline_shows_is_measured(name: str, steps: Steps) -> None:
    found = measured(steps, name)
    assert {*steps.params(name).gate.metrics, *find(name).headline} <= found.keys()
    assert [metric for metric, value in found.items() if not math.isfinite(value)] == []


@pytest.mark.usefixtures("workplace")
@pytest.mark.parametrize("name", AUDITED)
def test_evaluation_and_audit_give_no_two_figures_one_name(name: str, steps: Steps) -> None:
    """They may count other groups, or at another threshold: a gate could not say which of the two it bounds."""
    evaluation = read_record(steps.evaluated(name) / "evaluation.json", EvaluationReport)
    assert not evaluation.metrics.keys() & read_record(steps.audited(name) / "audit.json", AuditReport).metrics.keys()


@pytest.mark.usefixtures("workplace")
@pytest.mark.parametrize("name", LABS)
def test_its_gate_comes_to_a_decision(name: str, steps: Steps, tmp_path: Path) -> None:
    lab, params = find(name), steps.params(name)
    audited = steps.audited(name) if lab.audited else None
    decision = gate(lab, params, steps.evaluated(name), tmp_path / "gate", audited)
    assert decision == read_record(tmp_path / "gate" / "decision.json", Decision)
    assert decision.model_digest == Bundle.open(steps.exported(name)).digest
    for metric in params.gate.metrics:
        assert [reason for reason in decision.reasons if reason.startswith(f"{metric} ")]
    assert [reason for reason in decision.reasons if "was not measured" in reason] == []
    assert decision.reference_models.keys() == set(lab.reference_models)
