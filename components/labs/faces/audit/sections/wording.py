"""Rates and estimates as they are written in the report."""

from __future__ import annotations

from components.labs.faces.audit.schema import Estimate, Rate


def rate(found: Rate) -> str:
    return f"{share(found.value)} ({share(found.low)} to {share(found.high)})"


def count(found: Rate) -> str:
    return f"{found.count} of {found.of}: {share(found.value)}"


def estimate(found: Estimate) -> str:
    return "unknown" if found.value is None else f"{found.value:.4f} ({found.low:.4f} to {found.high:.4f})"


def share(value: float | None) -> str:
    return "unknown" if value is None else f"{100 * value:.1f} %"


def points(value: float | None) -> str:
    return "unknown" if value is None else f"{100 * value:+.1f}"
