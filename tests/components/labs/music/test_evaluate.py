"""Evaluation of a real bundle: what it measures, chooses and writes."""

from __future__ import annotations

import csv
import math
import re
from pathlib import Path

import pytest

from components.bundle import Bundle
from components.datasets.music.prepare import prepare
from components.datasets.music.reader import read_texts
from components.labs.music import LAB
from components.labs.music.evaluation.evaluate import evaluate
from components.labs.music.evaluation.report import PICTURES
from components.labs.music.params import Evaluate
from components.labs.music.runtime.conditioning import Options
from components.records import Evaluation
from tests.html_pages import loads
from tests.music_data import ALL

PARAMS = Evaluate(
    samples=8,
    requests=1,
    seed=1,
    redraws=32,
    temperature=0.5,
    max_length=500,
    examples=3,
    batch=8,
    max_quantisation_cost=0.02,
)


@pytest.fixture(scope="module")
def some_tunes(raw_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("prepared")
    prepare(raw_data, folder, ALL.model_copy(update={"limit": 60}))
    return folder


@pytest.fixture(scope="module")
def evaluated(
    music_bundle: Path, some_tunes: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Evaluation, Path]:
    out = tmp_path_factory.mktemp("evaluate")
    return evaluate(Bundle.open(music_bundle), some_tunes, out, PARAMS), out


def test_the_names_that_others_rely_on_are_measured(evaluated: tuple[Evaluation, Path]) -> None:
    metrics = evaluated[0].metrics
    assert {"bits_per_char", "valid_sample_rate", *LAB.gate_metrics} <= metrics.keys()
    assert all(math.isfinite(value) for value in metrics.values())
    assert 0 <= metrics["valid_sample_rate"] <= 1
    assert metrics["valid_sample_rate_real"] > 0.8


def test_what_may_be_asked_for_is_measured_one_by_one(evaluated: tuple[Evaluation, Path], music_bundle: Path) -> None:
    metrics = evaluated[0].metrics
    options = Options.of_spec(Bundle.open(music_bundle).spec)
    names = ["metre_4-4", "metre_2-2", "metre_6-8", *(f"type_{type}" for type in options.types)]
    for name in names:
        assert metrics["worst_request_rate"] <= metrics[f"request_rate_{name}"] <= 1
    assert evaluated[0].counts["worst_request_rate"] == PARAMS.requests
    assert metrics["accepted_sample_rate"] <= metrics["checked_rate"] == 1
    assert metrics["drawn_per_character"] < 2
    html = (evaluated[1] / "report.html").read_text()
    forms = [name for name in metrics if name.startswith("request_rate_form_")]
    assert sorted(forms) == ["request_rate_form_2x4", "request_rate_form_2x8"]
    asked = len(options.types_by_metre) + len(options.types) + len(forms)
    assert len(re.findall(rf"\d of {PARAMS.requests}</td>", html)) == asked
    assert "<td>the metre 6/8</td>" in html
    assert "up to 32 times" in html


def test_the_form_of_what_was_written_is_measured_beside_that_of_real_tunes(
    evaluated: tuple[Evaluation, Path],
) -> None:
    metrics = evaluated[0].metrics
    for name in ("regular_form_rate", "eights_rate"):
        assert 0 <= metrics[name] <= 1
    assert 0.4 < metrics["eights_rate_real"] <= metrics["regular_form_rate_real"] <= 1
    assert metrics["form_followed_rate"] <= 1
    html = (evaluated[1] / "report.html").read_text()
    assert "Does it keep to a form?" in html
    assert "<td>2x8 + 2x8 bars</td>" in html


def test_every_variant_is_measured_and_the_one_to_serve_is_named(evaluated: tuple[Evaluation, Path]) -> None:
    evaluation = evaluated[0]
    assert evaluation.variants.keys() == {"float", "int8"}
    served = evaluation.serve["variant"]
    assert evaluation.metrics["bits_per_char"] == evaluation.variants[served]["bits_per_char"]
    assert abs(evaluation.metrics["quantisation_cost"]) < 0.1


def test_requests_are_to_be_compared_with_training_and_validation_tunes(
    evaluated: tuple[Evaluation, Path], some_tunes: Path
) -> None:
    tunes = [*read_texts(some_tunes, "train"), *read_texts(some_tunes, "validation")]
    found = evaluated[0].drift_references
    assert found["key"].values == len(tunes)
    assert found["evenness"].values > 0.9 * len(tunes)
    assert found["temperature"].values == 0


def test_a_second_evaluation_is_the_same_to_the_byte(
    evaluated: tuple[Evaluation, Path], music_bundle: Path, some_tunes: Path, tmp_path: Path
) -> None:
    # In another batch size, which changes the time and nothing else.
    again = evaluate(Bundle.open(music_bundle), some_tunes, tmp_path, PARAMS.model_copy(update={"batch": 5}))
    assert again.metrics == pytest.approx(evaluated[0].metrics, abs=1e-4)
    for path in sorted(tmp_path.rglob("*.abc")):
        assert path.read_bytes() == (evaluated[1] / path.relative_to(tmp_path)).read_bytes()


def test_the_report_stands_alone_and_names_the_model(evaluated: tuple[Evaluation, Path], music_bundle: Path) -> None:
    html = (evaluated[1] / "report.html").read_text()
    assert loads(html) == []
    assert "<script" not in html
    assert Bundle.open(music_bundle).digest in html
    assert "profile course" in html
    assert html.count("<svg") == len(PICTURES)
    limitations = re.search(r"<h2>Limitations</h2><ul>(.*?)</ul>", html, re.DOTALL)
    assert limitations is not None
    assert limitations[1].count("<li>") >= 2


def test_every_picture_has_its_numbers_as_a_table(evaluated: tuple[Evaluation, Path]) -> None:
    plots = evaluated[1] / "plots"
    assert {path.stem for path in plots.iterdir()} == PICTURES.keys()
    with (plots / "verbatim_run.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert rows[0] == {"length": "0", "generated": "1.0", "held_out": "1.0"}
    assert float(rows[-1]["generated"]) == 0


def test_the_examples_are_tunes(evaluated: tuple[Evaluation, Path]) -> None:
    examples = sorted((evaluated[1] / "examples").iterdir())
    assert [path.name for path in examples] == ["01.abc", "02.abc", "03.abc"]
    assert all(path.read_text().startswith("X:") for path in examples)
