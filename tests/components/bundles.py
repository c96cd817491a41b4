"""Small bundles made on the spot: y = x * w, and what is said of them."""

from __future__ import annotations

import shutil
from datetime import date
from pathlib import Path

import onnx
from onnx import TensorProto, helper

from components.bundle import Bundle, BundleSpec, write_bundle
from components.config import Gate
from components.files import sha256_file, write_json, write_text
from components.promotion import decide
from components.records import (
    AuditFindings,
    AuditReport,
    ChampionSeen,
    Decision,
    Evaluation,
    EvaluationReport,
    Promotion,
    Provenance,
    Requirement,
    Verdict,
    read_record,
)
from components.signing import sign

PROVENANCE = Provenance(
    git_commit="0" * 40,
    git_dirty=False,
    data_version="1" * 32 + ".dir",
    data_profile="course",
    params_hash="2" * 64,
    code_hash="3" * 64,
)


def graph(*nodes: onnx.NodeProto, weight: float = 2.0) -> onnx.GraphProto:
    """x (batch, 3) float -> y, by `nodes` or by a product with w."""
    return helper.make_graph(
        nodes or [helper.make_node("Mul", ["x", "w"], ["y"])],
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 3])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 3])],
        [helper.make_tensor("w", TensorProto.FLOAT, [3], [weight] * 3)],
    )


def model(graph: onnx.GraphProto, functions: list[onnx.FunctionProto] | None = None) -> onnx.ModelProto:
    domains = [helper.make_opsetid("", 20), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(graph, opset_imports=domains, ir_version=10, functions=functions or [])


def write(
    folder: Path, onnx_model: onnx.ModelProto | None = None, weight: float = 2.0, provenance: Provenance = PROVENANCE
) -> Bundle:
    """A bundle of one graph, `step`, in an empty folder."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    content = onnx_model or model(graph(weight=weight))
    (folder / "step.onnx").write_bytes(content.SerializeToString())
    (folder / "parity.json").write_text('{"step": 0.0}')
    write_bundle(folder, "music", BundleSpec({"step": folder / "step.onnx"}, {"vocabulary": "ab"}), provenance)
    return Bundle.open(folder)


def evaluate(bundle: Bundle, folder: Path, **metrics: float) -> EvaluationReport:
    """An evaluation.json of that bundle, as the step writes it."""
    evaluation = Evaluation(metrics=metrics, counts=dict.fromkeys(metrics, 100))
    report = bundle.report(evaluation)
    write_json(folder / "evaluation.json", report.model_dump(mode="json"))
    return report


def audit(
    evaluation: EvaluationReport,
    folder: Path,
    verdict: Verdict = Verdict.PASS,
    champion: ChampionSeen | None = None,
    **metrics: float,
) -> AuditReport:
    """An audit.json of that evaluation with one requirement and one page, as the step writes it."""
    write_text(folder / "audit.html", f"<p>{verdict}</p>")
    requirement = Requirement(name="gap", verdict=verdict, reason="the gap is what it is")
    findings = AuditFindings(
        metrics=metrics, counts=dict.fromkeys(metrics, 100), requirements=(requirement,), details={}
    )
    files = {"audit.html": sha256_file(folder / "audit.html")}
    report = AuditReport.of_audit(evaluation, findings, champion, files)
    write_json(folder / "audit.json", report.model_dump(mode="json"))
    return report


def promoted(
    folder: Path, evaluation: EvaluationReport, gate: Gate, day: date = date(2026, 1, 1), mlflow_run: str | None = None
) -> Decision:
    """Judges the evaluation that lies in a bundle's folder, with its audit where there is one, and signs all of it."""
    write_json(folder / "evaluation.json", evaluation.model_dump(mode="json"))
    read = {"evaluation": sha256_file(folder / "evaluation.json")}
    requirements: tuple[Requirement, ...] = ()
    if (folder / "audit.json").exists():
        read["audit"] = sha256_file(folder / "audit.json")
        requirements = read_record(folder / "audit.json", AuditReport).requirements
    decision = decide(evaluation, None, gate, day, requirements).model_copy(update=read)
    write_json(folder / "decision.json", decision.model_dump(mode="json"))
    promotion = Promotion.of(decision, mlflow_run=mlflow_run)
    write_json(folder / "promotion.json", promotion.model_dump(mode="json"))
    if decision.verdict.allows:
        sign(folder, decision.verdict)
    return decision
