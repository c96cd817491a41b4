"""What a server keeps of its requests: counts that tell of no request, shown for whole windows only."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from components.config import DriftLimits
from components.drift import Reference, numbers, uncounted, words
from serving.core.drift import Drift
from serving.core.metrics import Metrics

WINDOW = 100
REFERENCES = {
    "brightness": numbers(np.random.default_rng(0).uniform(0, 255, 1000), "how bright it is"),
    "key": words(["D"] * 60 + ["G"] * 40, "the key"),
    "temperature": uncounted("what was asked for", (0.5, 1.0)),
}


def fresh() -> tuple[Drift, Metrics]:
    metrics = Metrics()
    limits = DriftLimits(drift_window=WINDOW, drift_alarm_rate=0.001)
    return Drift(REFERENCES, limits, metrics), metrics


def requests(seed: int, count: int) -> list[dict[str, float | str]]:
    draw = np.random.default_rng(seed)
    return [
        {"brightness": float(draw.uniform(0, 255)), "key": str(draw.choice(["D", "G"])), "temperature": 0.7}
        for _ in range(count)
    ]


def asked(given: list[dict[str, float | str]]) -> tuple[dict[str, Any], list[str], dict[str, Any]]:
    """What a server shows after these requests, and all that it holds."""
    drift, metrics = fresh()
    for request in given:
        drift.count(request)
    # When a counter was made, at the server's start, Prometheus is told too.
    lines = [line for line in metrics.page().decode().splitlines() if "_created" not in line]
    return drift.answer().model_dump(), lines, held(drift)


def held(drift: Drift) -> dict[str, Any]:
    """Everything in a Drift that a request can change, found by walking through it."""
    found: dict[str, Any] = {}
    trail: list[tuple[str, Any]] = [("", drift)]
    while trail:
        name, value = trail.pop()
        if isinstance(value, Reference | DriftLimits) or type(value).__module__.startswith("prometheus_client"):
            continue
        if isinstance(value, dict):
            trail += [(f"{name}.{key}", inner) for key, inner in value.items()]
        elif hasattr(value, "__dict__"):
            trail += [(f"{name}.{key}", inner) for key, inner in vars(value).items()]
        else:
            found[name] = value
    return found


def test_only_counts_are_held() -> None:
    _, _, inside = asked(requests(1, 250))
    for name, value in inside.items():
        if name.endswith((".distance", ".limit")):
            assert isinstance(value, float)
        elif name.endswith((".filling", ".last")):
            assert all(type(count) is int for count in value)
            assert sum(value) <= WINDOW
        else:
            assert type(value) is int, name
    assert len(inside) == 6 * len(REFERENCES)


def test_neither_values_nor_order_nor_what_goes_with_what_is_held() -> None:
    """Other requests whose features lie in the same bins, in another order and combined otherwise, leave the same."""
    given = requests(2, 250)
    others: list[dict[str, float | str]] = []
    draw = np.random.default_rng(3)
    brightness = REFERENCES["brightness"]
    lowest = (0.0, *brightness.edges)  # of each bin
    for first in range(0, len(given), WINDOW):
        part = given[first : first + WINDOW]
        levels = draw.permutation([lowest[brightness.bin_of(request["brightness"])] for request in part])
        keys = draw.permutation([str(request["key"]) for request in part])
        others += [
            {"brightness": float(level), "key": str(key), "temperature": 0.6}
            for level, key in zip(levels, keys, strict=True)
        ]
    assert others != given
    assert asked(others) == asked(given)


@pytest.mark.parametrize("count", [1, 50, WINDOW - 1, WINDOW + 1, 2 * WINDOW - 1])
def test_what_is_shown_before_a_window_is_full_does_not_depend_on_its_requests(count: int) -> None:
    """So no single request, nor any group smaller than a window, can be read off two answers."""
    full = requests(4, count // WINDOW * WINDOW)
    left = count - len(full)
    other: dict[str, float | str] = {"brightness": 0.0, "key": "never seen", "temperature": 3.0}
    shown, metrics, _ = asked(full + requests(5, left))
    assert (shown, metrics) == asked([*full, *[other] * left])[:2]
    assert all(feature["waiting"] == left for feature in shown["features"].values())
    assert all(sum(feature["requests"]) in (0, WINDOW) for feature in shown["features"].values())


def test_a_changed_window_has_drifted_and_the_next_is_as_usual_again() -> None:
    drift, metrics = fresh()
    for request in requests(6, WINDOW):
        drift.count(request)
    assert {name: feature.verdict for name, feature in drift.answer().features.items()} == {
        "brightness": "usual",
        "key": "usual",
        "temperature": "not compared",
    }
    for request in requests(7, WINDOW):
        drift.count({**request, "brightness": 10.0})
    found = drift.answer().features
    assert (found["brightness"].verdict, found["key"].verdict) == ("drifted", "usual")
    page = metrics.page().decode()
    assert 'drift_windows_total{feature="brightness",verdict="drifted"} 1.0' in page
    assert 'feature="temperature"' not in page
    for request in requests(8, WINDOW):
        drift.count(request)
    found = drift.answer().features
    assert (found["brightness"].verdict, found["brightness"].windows, found["brightness"].drifted) == ("usual", 3, 1)


def test_features_that_the_bundle_does_not_know_are_not_counted() -> None:
    drift, _ = fresh()
    drift.count({"anything": 1.0})
    assert drift.answer().features.keys() == REFERENCES.keys()
    assert all(feature.waiting == 0 for feature in drift.answer().features.values())


def test_a_window_that_could_tell_of_few_requests_is_refused() -> None:
    with pytest.raises(ValueError, match="drift_window"):
        DriftLimits(drift_window=99, drift_alarm_rate=0.001)
