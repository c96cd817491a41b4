"""Plots start at zero where all values are above it, and show values below it where there are some."""

from __future__ import annotations

import re

import pytest

from components.report.plots import bars, lines


def ticks(svg: str) -> list[float]:
    """Labels of the axes that are numbers."""
    return [float(text.replace("−", "-")) for text in re.findall(r">([−-]?\d+(?:\.\d+)?)</text>", svg)]


@pytest.mark.parametrize(("values", "lowest"), [([3.0, 4.0], 0.0), ([20.0, -21.0], -20.0)])
def test_no_value_is_cut_off(values: list[float], lowest: float) -> None:
    curve = lines([1, 2], {"return": values}, "epoch", "return", {})
    columns = bars(["a", "b"], {"return": values}, "", "return", {})
    assert min(ticks(curve)) == min(ticks(columns)) == lowest
