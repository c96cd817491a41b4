"""Turns a trained model into ONNX graphs and checks that they compute the same as it does."""

from __future__ import annotations

import logging
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from PIL import Image
from torch import Tensor, nn

from components.bundle import BundleSpec
from components.errors import UserError
from components.families.generation.export.prior import Prior
from components.families.generation.params import Export
from components.families.generation.runtime import sheet
from components.families.generation.training.gan import Gan
from components.families.generation.training.networks import to_bytes, to_pictures
from components.families.generation.training.vae import Vae
from components.files import write_json
from components.onnx.quantisation import write_int8

PARITY_BATCHES = (1, 2, 7, 64)
"""Batch sizes the graphs are compared at; the export itself sees another."""
FRAMES = 8
"""Epochs shown by progress.png, evenly from the first to the one that is exported."""
SEED = 1
"""Of the latents that calibrate int8 and compare the graphs."""


class Pictures(nn.Module):
    """Latents (B, latent_dim) to images (B, H, W, C) uint8, and to the values (B, C, H, W) that they come from."""

    def __init__(self, decoder: nn.Module) -> None:
        super().__init__()
        self.decoder = decoder

    def forward(self, latents: Tensor) -> tuple[Tensor, Tensor]:
        values = self.decoder(latents)
        return to_bytes(values), values.sigmoid()


class Latents(nn.Module):
    """A VAE's images (B, H, W, C) uint8 to means and log-variances (B, latent_dim) of their latents."""

    def __init__(self, model: Vae) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        return self.model.encode(to_pictures(images))


class Likelihood(nn.Module):
    """log p(x|z) (B,) in nats of images (B, H, W, C) uint8 and latents (B, latent_dim)."""

    def __init__(self, model: Vae) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor, latents: Tensor) -> Tensor:
        return self.model.log_likelihood(to_pictures(images), latents)


def export(model: Vae | Gan, images: np.ndarray, out: Path, params: Export, prior: Prior | None = None) -> BundleSpec:
    """Writes <variant>.onnx of each variant, a VAE's encoder.onnx and likelihood.onnx, parity.json and progress.png.

    images: (N, H, W, C) uint8, for the comparison. prior: what the latents of samples are drawn from, where that is not
    the standard normal distribution; it becomes prior.onnx. Raises UserError when a weight is NaN or
    infinite, or a float graph differs from the model by more than `params.parity_tolerance`.
    """
    if not all(weight.isfinite().all() for weight in model.state_dict().values()):
        raise UserError("the model has weights that are not numbers: training diverged; lower its learning rate")
    model = model.cpu().float().eval()
    train = model.params
    modules: dict[str, nn.Module] = {"float": Pictures(model.decoder if isinstance(model, Vae) else model.averaged)}
    if isinstance(model, Vae):
        modules |= {"encoder": Latents(model), "likelihood": Likelihood(model)}
    if prior:
        modules["prior"] = prior
    graphs = {name: out / f"{name}.onnx" for name in modules}
    for name, module in modules.items():
        module.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
        _write(module, _inputs(name, images, train.latent_dim, 3), graphs[name])
    report = {name: parity(module, name, graphs[name], images, train.latent_dim) for name, module in modules.items()}
    _check(report, params.parity_tolerance)
    if "int8" in params.variants:
        graphs["int8"] = out / "int8.onnx"
        drawn = _drawn(params.calibration, train.latent_dim + bool(prior))
        latents = prior(torch.from_numpy(drawn)).numpy() if prior else drawn
        batches = np.array_split(latents, -(-params.calibration // 64))
        # The last convolution makes the pixels: 8 bits would round them twice.
        write_int8(
            graphs["float"], graphs["int8"], ({"latents": batch} for batch in batches), ["Conv", "MatMul"], ["Conv"]
        )
        report["int8"] = parity(modules["float"], "int8", graphs["int8"], images, train.latent_dim)
    write_json(out / "parity.json", report)
    if "float" not in params.variants:
        graphs.pop("float").unlink()
    Image.fromarray(_film(model)).save(out / "progress.png")
    shape = {"size": model.shape.size, "channels": model.shape.channels, "latent_dim": train.latent_dim}
    likelihood = train.likelihood if isinstance(model, Vae) else None
    spec = {**shape, "model": train.model, "likelihood": likelihood, "variants": list(params.variants)}
    spec["prior_components"] = len(prior.means) if prior else 0
    return BundleSpec(graphs=graphs, spec=spec)


def parity(module: nn.Module, name: str, graph: Path, images: np.ndarray, latent_dim: int) -> list[dict[str, Any]]:
    """Largest differences of module and graph at each of PARITY_BATCHES, of log-likelihoods as a share of them."""
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    report = []
    for batch in PARITY_BATCHES:
        inputs = _inputs(name, images, latent_dim, batch)
        with torch.inference_mode():
            expected = module(*(torch.from_numpy(array) for array in inputs.values()))
        found = session.run(None, inputs)
        differences: dict[str, Any] = {"batch": batch}
        for output, ours, theirs in zip(
            session.get_outputs(), found, expected if isinstance(expected, tuple) else (expected,), strict=True
        ):
            reference = theirs.numpy().astype(np.float64)
            scale = np.abs(reference).max() if output.name == "log_likelihood" else 1.0
            differences[output.name] = float(np.abs(ours - reference).max() / scale)
        report.append(differences)
    return report


OUTPUTS = {
    "float": ("images", "values"),
    "int8": ("images", "values"),
    "encoder": ("means", "log_variances"),
    "likelihood": ("log_likelihood",),
    "prior": ("latents",),
}


def _inputs(name: str, images: np.ndarray, latent_dim: int, batch: int) -> dict[str, np.ndarray]:
    """What a graph is given, by input."""
    some = images[np.arange(batch) % len(images)]
    if name == "prior":
        return {"noise": _drawn(batch, latent_dim + 1)}
    drawn = _drawn(batch, latent_dim)
    if name == "encoder":
        return {"images": some}
    return {"images": some, "latents": drawn} if name == "likelihood" else {"latents": drawn}


def _drawn(count: int, latent_dim: int) -> np.ndarray:
    drawn: np.ndarray = np.random.RandomState(SEED).standard_normal((count, latent_dim)).astype(np.float32)
    return drawn


def _write(module: nn.Module, inputs: dict[str, np.ndarray], path: Path) -> None:
    """The graph as torch exports it, one file, any batch size."""
    for talker in ("torch.onnx", "onnxscript", "onnx_ir"):
        logging.getLogger(talker).setLevel(logging.ERROR)
    examples = tuple(torch.from_numpy(np.ascontiguousarray(array)) for array in inputs.values())
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # torch's exporter about torch's own deprecations
        torch.onnx.export(
            module.eval(),
            examples,
            path,
            input_names=list(inputs),
            output_names=list(OUTPUTS[path.stem]),
            # AUTO: a named dimension froze silently in a second export of the same process.
            dynamic_shapes=tuple({0: torch.export.Dim.AUTO} for _ in examples),
            dynamo=True,
            external_data=False,
            verbose=False,
        )
    model = onnx.load(path)
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "batch"
    onnx.save(model, path)


def _check(report: dict[str, list[dict[str, Any]]], tolerance: float) -> None:
    """int8 differs by design, and evaluation measures what that costs; bytes may differ where a value is between."""
    for name, cases in report.items():
        for case in cases if name != "int8" else ():
            for output, difference in case.items():
                if output not in ("batch", "images") and not difference <= tolerance:
                    raise UserError(
                        f"the graph {name} differs from the model by {difference:.2g} in its {output} "
                        f"(batch {case['batch']}; allowed {tolerance:g}): it is not exported"
                    )


def _film(model: Vae | Gan) -> np.ndarray:
    """A row of samples for each of some epochs, the same latents every time; below them as many of an interpolation."""
    frames = model.progress.frames(FRAMES).numpy()
    _, _, across, height, width, channels = frames.shape
    rows = frames.transpose(1, 0, 2, 3, 4, 5).reshape(-1, height, width, channels)
    picture = sheet(rows, across)
    return picture[:, :, 0] if channels == 1 else picture
