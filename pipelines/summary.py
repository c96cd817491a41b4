"""The last word of a pipeline run: which steps ran, what they measured, what the gate decided."""

from __future__ import annotations

import json

from components.tracking.runs import StepRun

STATUS = {"SUCCEEDED": "FINISHED", "FAILED": "FAILED", "CANCELLED": "KILLED"}
"""Kubeflow's final states as MLflow's."""
READ = ("decision.json", "promotion.json")


def summary(lab: str, status: str, error: str, steps: list[StepRun]) -> str:
    """Markdown. Steps that Kubeflow took from its cache have no run of their own, and are not in `steps`."""
    outcome = {step.step: step for step in steps if step.status == "FINISHED"}
    lines = [f"# {lab}: {status}", ""]
    if error:
        lines += [f"- {error}"]
    if "gate" in outcome and "decision.json" in outcome["gate"].artifacts:
        decision = json.loads(outcome["gate"].artifacts["decision.json"])
        lines += [f"- gate: **{decision['verdict']}**: {'; '.join(decision['reasons'])}"]
    if "promote" in outcome and "promotion.json" in outcome["promote"].artifacts:
        lines += [f"- champion: version {json.loads(outcome['promote'].artifacts['promotion.json'])['version']}"]
    else:
        lines += ["- nothing was promoted"]
    lines += ["", "| step | status | seconds | measured |", "|---|---|---|---|"]
    for step in steps:
        measured = ", ".join(f"{name} {value:.4g}" for name, value in sorted(step.metrics.items()))
        lines += [f"| {step.step} | {step.status} | {step.seconds:.0f} | {measured} |"]
    lines += ["", "A step that is not listed was taken from the cache, or not reached."]
    return "\n".join(lines) + "\n"
