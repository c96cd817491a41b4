"""Both generators learn real digits, become bundles, and are judged for what they are."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch

from components.bundle import Bundle
from components.config import LabParams
from components.errors import UserError
from components.families.generation.evaluation.evaluate import Comparison, Real
from components.families.generation.evaluation.features import Features
from components.families.generation.evaluation.measures import pairs
from components.families.generation.params import GenerationParams
from components.families.generation.runtime import Generator
from components.labs import Inputs, find
from components.labs.digit_generation.evaluation.certainty import reader
from components.labs.digit_generation.params import Evaluate
from components.params import load
from components.records import EvaluationReport
from components.settings import project_root
from components.steps.evaluate import evaluate
from components.steps.export import export
from components.steps.train import train
from tests.components.bundles import PROVENANCE
from tests.digits_data import prepared

LAB: Any = find("digit_generation")
MODELS = ("vae", "gan")
SMALL = {"latent_dim": 8, "widths": (16, 8), "discriminator_widths": (16, 8), "batch_size": 32, "averaged_steps": 20}
QUICK = {
    "seed": 2**32 - 1,
    "samples": 300,
    "manifold_samples": 200,
    "likelihood_pictures": 20,
    "importance_samples": 20,
    "shown": 4,
    "certainty": 0.8,
}
OWN: dict[str, dict[str, Any]] = {
    "vae": {"max_epochs": 16, "learning_rate": 0.005, "betas": (0.9, 0.999)},
    "gan": {"max_epochs": 8, "learning_rate": 0.001, "betas": (0.0, 0.99)},
}


def params(model: str, **changed: Any) -> GenerationParams:
    every = as_set()
    small = {"model": model, **SMALL, **OWN[model], "patience": 99, **changed}
    return every.model_copy(
        update={
            "train": every.train.model_copy(update=small),
            "evaluate": every.evaluate.model_copy(update=QUICK),
            "export": every.export.model_copy(update={"calibration": 64}),
        }
    )


def as_set() -> GenerationParams:
    every = load(LAB, project_root() / "params.yaml")
    assert isinstance(every, GenerationParams)
    return every


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Inputs:
    return Inputs(prepared(tmp_path_factory.mktemp("prepared"), 900))


@pytest.fixture(scope="module")
def classifier(digits: Inputs, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundle of a small classifier of the lab digits."""
    folder, every = tmp_path_factory.mktemp("digits"), load(find("digits"), project_root() / "params.yaml")
    small = {"channels": (8, 16), "dense_size": 16, "max_epochs": 4, "batch_size": 32, "learning_rate": 0.1}
    chosen = every.model_copy(
        update={
            "train": every.train.model_copy(update=small),
            "export": every.export.model_copy(update={"calibration": 20}),
        }
    )
    return bundle_of("digits", chosen, digits, folder)


@pytest.fixture(scope="module", params=MODELS)
def made(request: pytest.FixtureRequest, digits: Inputs, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """A small generator trained on a few digits, and its bundle."""
    folder = tmp_path_factory.mktemp(request.param)
    return request.param, bundle_of("digit_generation", params(request.param), digits, folder)


def bundle_of(lab: str, chosen: LabParams, digits: Inputs, folder: Path) -> Path:
    train(find(lab), chosen.train, digits, folder / "train", folder / "kept")
    export(find(lab), chosen, PROVENANCE, digits, folder / "train", folder / "export")
    return folder / "export"


def test_its_pictures_come_to_look_like_digits(made: tuple[str, Path], digits: Inputs, classifier: Path) -> None:
    """Seen through the classifier they are nearer to real digits than those of a model that was never trained."""
    name, folder = made
    generator = Generator.load(Bundle.open(folder), "float")
    images = generator.pictures(generator.latents(1, 300))
    untrained = LAB.module(digits, params(name).train).eval()
    with torch.inference_mode():
        noise = (untrained(torch.from_numpy(generator.latents(1, 300))).sigmoid() * 255).to(torch.uint8)
    real = Real(LAB.pictures(digits.prepared, "train"), LAB.pictures(digits.prepared, "test"))
    comparison = Comparison(real, Features(Bundle.open(classifier)), params(name).evaluate)
    learned, random = (
        comparison.measured(kind, pictures)["frechet_distance"]
        for kind, pictures in (("learned", images), ("random", noise.permute(0, 2, 3, 1).numpy()))
    )
    assert learned < 0.7 * random
    assert comparison.rows["held-out pictures"]["frechet_distance"] < learned


def test_the_graphs_compute_the_model_at_batches_they_have_not_seen(made: tuple[str, Path]) -> None:
    report = json.loads((made[1] / "parity.json").read_text())
    expected = {"vae": {"float", "int8", "encoder", "likelihood", "prior"}, "gan": {"float", "int8"}}[made[0]]
    assert set(report) == expected
    assert max(case["values"] for case in report["float"]) < 1e-4
    generator = Generator.load(Bundle.open(made[1]), "float")
    latents = generator.latents(5, 11)
    together, alone = generator.pictures(latents), np.concatenate([generator.pictures(row[None]) for row in latents])
    assert np.abs(together.astype(int) - alone).max() <= 1


def test_a_vaes_samples_are_drawn_from_what_was_fitted_and_what_it_makes_of_pictures_is_not(
    made: tuple[str, Path], digits: Inputs
) -> None:
    name, folder = made
    bundle = Bundle.open(folder)
    generator = Generator.load(bundle, "float")
    noise = np.random.RandomState(1).standard_normal((400, 8 + (name == "vae"))).astype(np.float32)
    if name == "gan":
        assert bundle.spec["prior_components"] == 0
        assert np.array_equal(generator.latents(1, 400), noise)
        return
    assert bundle.spec["prior_components"] > 1
    (drawn,) = bundle.session("prior").run(None, {"noise": noise})
    assert np.array_equal(generator.latents(1, 400), drawn)
    seen = LAB.pictures(digits.prepared, "test")[:40]
    means, _ = bundle.session("encoder").run(None, {"images": seen})
    apart = np.abs(generator.pictures(means)[:, None].astype(float) - seen[None]).mean(axis=(2, 3, 4))
    assert (apart.argmin(axis=1) == np.arange(40)).mean() > 0.5, "what it makes of a picture is nearest to that one"


def test_the_same_seed_makes_the_same_pictures(made: tuple[str, Path]) -> None:
    for variant in ("float", "int8"):
        generator, again = (Generator.load(Bundle.open(made[1]), variant) for _ in range(2))
        assert np.array_equal(generator.samples(3, 5), again.samples(3, 9)[:5])
        assert generator.samples(3, 5).shape == (5, 28, 28, 1)


def test_int8_multiplies_bytes_and_keeps_the_pictures(made: tuple[str, Path]) -> None:
    operators = [node.op_type for node in onnx.load(made[1] / "int8.onnx").graph.node]
    assert "QuantizeLinear" in operators
    assert "BatchNormalization" not in operators[operators.index("QuantizeLinear") :]
    whole, bytes_ = (Generator.load(Bundle.open(made[1]), variant).samples(1, 16) for variant in ("float", "int8"))
    assert np.abs(whole.astype(float) - bytes_).mean() < 5


def test_what_evaluation_says_of_it(made: tuple[str, Path], digits: Inputs, classifier: Path, tmp_path: Path) -> None:
    name, folder = made
    report = evaluate(LAB, params(name), digits, folder, tmp_path / "evaluate", {"digits": classifier})
    assert report.reference_models == {"digits": Bundle.open(classifier).digest}
    written = EvaluationReport.model_validate_json((tmp_path / "evaluate" / "evaluation.json").read_text())
    assert written.reference_models == report.reference_models
    assert set(report.variants) == {"float", "int8"}
    held_out = len(LAB.pictures(digits.prepared, "test"))
    assert report.counts.keys() == report.metrics.keys()
    assert (report.counts["frechet_distance"], report.counts["recall"]) == (300, 200)
    assert report.counts["held_out_frechet_distance"] == report.counts["held_out_recall"] == held_out < 200
    assert report.metrics["held_out_frechet_distance"] < report.metrics["frechet_distance"]
    assert report.metrics["relative_frechet_distance"] > report.metrics["held_out_relative_frechet_distance"]
    if name == "vae":
        # 543.4 nats is a coin for each of 784 pixels.
        assert -543.4 < report.metrics["elbo"] <= report.metrics["importance_bound"] < 0
    else:
        assert "elbo" not in report.metrics
    assert 0 <= report.metrics["certain_rate"] < report.metrics["held_out_certain_rate"] <= 1
    assert report.counts["certain_rate"] == 200
    assert report.counts["held_out_certain_rate"] == held_out
    page = (tmp_path / "evaluate" / "report.html").read_text()
    captions = re.findall(r"<figcaption>(samples|held-out pictures): ([0-9.]+)</figcaption>", page)
    assert [kind for kind, _ in captions] == ["samples"] * 8 + ["held-out pictures"] * 8, "four nearest, four others"
    distances = [float(distance) for _, distance in captions]
    assert distances[:4] == sorted(distances[:4])
    assert distances[8:12] == sorted(distances[8:12])
    assert max(distances[:4]) <= min(distances[4:8])
    assert "read with certainty" in page
    assert not [address for address in ('src="http', "<script", "<link") if address in page]
    shown = ["samples", "interpolation", "progress"] + ["reconstructions"] * (name == "vae")
    assert page.count("data:image/png") == len(shown) + len(captions)
    for picture in shown:
        assert (tmp_path / "evaluate" / f"{picture}.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "evaluate" / "plots" / "nearest.csv").read_text().startswith("quantile,samples,held_out\n0.0,")


def test_figures_count_the_pictures_that_there_were_not_those_asked_for(digits: Inputs, classifier: Path) -> None:
    """So that of a slice the gate says that too little was measured, and nothing against the model."""
    every = as_set()
    real = Real(LAB.pictures(digits.prepared, "train"), LAB.pictures(digits.prepared, "test"))
    counts = Comparison(real, Features(Bundle.open(classifier)), every.evaluate).counts(every.evaluate.samples)
    assert counts["frechet_distance"] == counts["precision"] == counts["recall"] == len(real.train)
    assert counts["near_copy_rate"] == len(real.held_out), "they say what is near"
    assert all(counts[name] < bound.min_count for name, bound in every.gate.metrics.items())


def test_copies_of_training_pictures_are_seen(digits: Inputs, classifier: Path) -> None:
    real = Real(LAB.pictures(digits.prepared, "train"), LAB.pictures(digits.prepared, "test"))
    comparison = Comparison(real, Features(Bundle.open(classifier)), params("vae").evaluate)
    assert comparison.rows["held-out pictures"]["near_copy_rate"] < 0.05
    assert comparison.measured("copies", real.train[:200])["near_copy_rate"] == 1


def test_real_digits_are_read_with_certainty_and_independent_pixels_are_not(digits: Inputs, classifier: Path) -> None:
    real = Real(LAB.pictures(digits.prepared, "train"), LAB.pictures(digits.prepared, "test"))
    bundle, chosen = Bundle.open(classifier), params("vae").evaluate
    assert isinstance(chosen, Evaluate)
    rows = Comparison(real, Features(bundle), chosen, reader(bundle, chosen.certainty)).rows
    assert rows["held-out pictures"]["certain_rate"] > 0.3
    assert rows["independent pixels"]["certain_rate"] < 0.02


def test_a_copy_is_shown_above_its_original_at_no_distance(digits: Inputs) -> None:
    train, held_out = (LAB.pictures(digits.prepared, split) for split in ("train", "test"))
    found = pairs(np.concatenate([held_out[:5], train[7:8]]), train, 3)
    assert len(found.pictures) == len(found.neighbours) == len(found.distances) == 6
    assert np.array_equal(found.pictures[0], train[7])
    assert np.array_equal(found.neighbours[0], train[7])
    assert found.distances[0] < 0.1 < found.distances[1]
    assert np.array_equal(found.pictures[3:], held_out[:3]), "those that were not chosen"


def test_a_decoder_that_is_sure_and_wrong_has_a_finite_likelihood_in_its_graph(digits: Inputs, tmp_path: Path) -> None:
    """Trained in full, one is as sure as that of pixels that are never ink."""
    chosen = params("vae")
    torch.manual_seed(0)
    model: Any = LAB.module(digits, chosen.train).eval()
    last = [layer for layer in model.decoder.layers if isinstance(layer, torch.nn.Conv2d)][-1]
    assert last.bias is not None
    with torch.no_grad():
        last.bias.fill_(-200)
    LAB.export(model, digits, tmp_path, chosen.export.model_copy(update={"variants": ("float",)}))
    report = json.loads((tmp_path / "parity.json").read_text())
    assert max(case["log_likelihood"] for case in report["likelihood"]) < 1e-4


@pytest.mark.parametrize("model", MODELS)
def test_a_model_that_diverged_is_not_exported(model: str, digits: Inputs, tmp_path: Path) -> None:
    chosen = params(model)
    module = LAB.module(digits, chosen.train)
    with torch.no_grad():
        next(iter(module.parameters())).fill_(float("nan"))
    with pytest.raises(UserError, match="training diverged"):
        LAB.export(module, digits, tmp_path, chosen.export)


def test_a_graph_that_differs_is_not_exported(digits: Inputs, tmp_path: Path) -> None:
    chosen = params("gan")
    exacting = chosen.export.model_copy(update={"parity_tolerance": 1e-12, "variants": ("float",)})
    with pytest.raises(UserError, match=r"the graph float differs from the model by .* it is not exported"):
        LAB.export(LAB.module(digits, chosen.train), digits, tmp_path, exacting)
