"""The uncertainty API over HTTP: features to a mean, intervals and doubts; wrong features are named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from components.bundle import Bundle
from components.labs.uncertainty.runtime.predictor import UncertaintyPredictor
from tests.serving.servers import Server

MIX = {
    "cement": 281.0,
    "slag": 22.0,
    "fly_ash": 54.0,
    "water": 181.0,
    "superplasticizer": 6.2,
    "coarse_aggregate": 973.0,
    "fine_aggregate": 774.0,
    "age": 28.0,
}


def predict(server: Server, **changed: float) -> dict[str, Any]:
    answer = server.client.post("/predict/concrete", json={"features": {**MIX, **changed}})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def test_a_mix_is_answered_as_the_bundle_predicts(uncertainty_server: Server, concrete_bundle: Path) -> None:
    found = predict(uncertainty_server)
    expected = UncertaintyPredictor.load(Bundle.open(concrete_bundle)).answer("concrete", np.array([[*MIX.values()]]))
    assert found["mean"] == pytest.approx(expected.mean[0], rel=1e-5)
    assert found["aleatoric"] == pytest.approx(expected.aleatoric[0], rel=1e-5)
    assert found["epistemic"] == pytest.approx(expected.epistemic[0], rel=1e-4)
    assert found["target"] == {"name": "strength", "unit": "MPa"}
    assert [interval["coverage"] for interval in found["intervals"]] == [0.5, 0.9, 0.95]
    narrow, wide = found["intervals"][0], found["intervals"][-1]
    assert wide["low"] < narrow["low"] < found["mean"] < narrow["high"] < wide["high"]
    assert wide["conformal_low"] < found["mean"] < wide["conformal_high"]
    assert 0 <= found["ood_percentile"] <= 100
    assert (found["outside"], found["model"]["promoted"]) == ([], False)


def test_a_value_in_the_wrong_unit_is_flagged_and_not_clamped(uncertainty_server: Server) -> None:
    inside, outside = predict(uncertainty_server), predict(uncertainty_server, cement=281_000.0)
    assert [each["field"] for each in outside["outside"]] == ["cement"]
    assert outside["outside"][0]["value"] == 281_000.0
    assert outside["outside"][0]["high"] < 600
    assert outside["abstain"]
    assert "cement is outside the training rows'" in outside["reasons"][0]
    assert outside["mean"] != pytest.approx(predict(uncertainty_server, cement=540.0)["mean"], rel=0.01)
    assert outside["epistemic"] > inside["epistemic"]


def test_rows_together_are_answered_as_rows_alone(uncertainty_server: Server) -> None:
    ages = (3.0, 28.0, 90.0)
    rows = [{**MIX, "age": age} for age in ages]
    answer = uncertainty_server.client.post("/predict/concrete/batch", json={"rows": rows})
    assert answer.status_code == 200, answer.text
    for age, row in zip(ages, answer.json()["rows"], strict=True):
        assert row["mean"] == pytest.approx(predict(uncertainty_server, age=age)["mean"], rel=1e-4)


@pytest.mark.parametrize("sign", [1, -1])
def test_numbers_of_any_size_that_is_taken_have_a_finite_answer(uncertainty_server: Server, sign: int) -> None:
    for size in (1e3, 1e6, 1e9):
        found = predict(uncertainty_server, **dict.fromkeys(MIX, sign * size))
        assert np.isfinite([found["mean"], found["aleatoric"], found["epistemic"]]).all()
        assert found["abstain"]


def body(**changed: object) -> str:
    return json.dumps({"features": {**MIX, **changed}})


@pytest.mark.parametrize(
    ("text", "status", "field"),
    [
        ("{", 400, None),
        ("{}", 422, "features"),
        (
            json.dumps({"features": {name: value for name, value in MIX.items() if name != "water"}}),
            422,
            "features.water",
        ),
        (body(water="181"), 422, "features.water"),
        (body(water="wet"), 422, "features.water"),
        (body(water=None), 422, "features.water"),
        (body(water=True), 422, "features.water"),
        (body(water=float("nan")), 422, "features.water"),
        (body(water=float("inf")), 422, "features.water"),
        (body(water=1e12), 422, "features.water"),
        (body(sand=3.0), 422, "features.sand"),
        (json.dumps({"features": MIX, "seed": 1}), 422, "seed"),
        (json.dumps({"features": [*MIX.values()]}), 422, "features"),
    ],
)
def test_what_is_wrong_in_a_row_is_named(uncertainty_server: Server, text: str, status: int, field: str | None) -> None:
    answer = uncertainty_server.client.post(
        "/predict/concrete", content=text, headers={"content-type": "application/json"}
    )
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert field is None or answer.json()["errors"][0]["field"] == field


@pytest.mark.parametrize(
    ("rows", "field"),
    [([], "rows"), ([MIX] * 201, "rows"), ([MIX, {**MIX, "age": "old"}], "rows.1.age")],
)
def test_what_is_wrong_in_a_batch_is_named(
    uncertainty_server: Server, rows: list[dict[str, object]], field: str
) -> None:
    answer = uncertainty_server.client.post("/predict/concrete/batch", json={"rows": rows})
    assert answer.status_code == 422, answer.text
    assert answer.json()["errors"][0]["field"] == field


def test_a_set_that_the_model_does_not_know_is_no_path(uncertainty_server: Server) -> None:
    for path in ("/predict/boston", "/predict/cubic_gaussian", "/predict"):
        assert uncertainty_server.client.post(path, json={"features": MIX}).status_code == 404


def test_the_examples_of_the_description_work(uncertainty_server: Server) -> None:
    paths = uncertainty_server.client.get("/docs.json").json()["paths"]
    asked = [path for path in paths if path.startswith("/predict/")]
    assert asked == ["/predict/concrete", "/predict/concrete/batch"]
    for path in asked:
        example = paths[path]["post"]["requestBody"]["content"]["application/json"]["example"]
        assert uncertainty_server.client.post(path, json=example).status_code == 200


def test_every_answer_says_which_model_gave_it(uncertainty_server: Server, concrete_bundle: Path) -> None:
    digest = Bundle.open(concrete_bundle).digest
    for path in ("/livez", "/readyz", "/info", "/"):
        assert uncertainty_server.client.get(path).headers["x-model-digest"] == digest
    assert predict(uncertainty_server)["model"]["model_digest"] == digest
