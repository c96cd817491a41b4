"""Turns a trained model into ONNX graphs and checks that they compute the same as it does."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from components.bundle import BundleSpec
from components.families.generation.export.prior import Prior
from components.families.generation.params import Export
from components.families.generation.training.gan import Gan
from components.families.generation.training.networks import to_bytes, to_pictures
from components.families.generation.training.vae import Vae
from components.files import write_json
from components.onnx.export import export_graph
from components.onnx.parity import Case, check_parity, compare
from components.onnx.quantisation import write_int8
from components.report.pictures import save_png, sheet
from components.training.finite import check_finite

PARITY_BATCHES = (1, 2, 7, 64)
"""Batch sizes at which the graphs are compared; the export itself sees another."""
FRAMES = 8
"""Epochs shown by progress.png, evenly from the first to the one that is exported."""
SEED = 1
"""The seed of the latents that calibrate int8 and compare the graphs."""


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


OUTPUTS = {
    "float": ("images", "values"),
    "int8": ("images", "values"),
    "encoder": ("means", "log_variances"),
    "likelihood": ("log_likelihood",),
    "prior": ("latents",),
}


def export(model: Vae | Gan, images: np.ndarray, out: Path, params: Export, prior: Prior | None = None) -> BundleSpec:
    """Writes <variant>.onnx of each variant, a VAE's encoder.onnx and likelihood.onnx, parity.json and progress.png.

    images: (N, H, W, C) uint8, for the comparison. prior: what the latents of samples are drawn from, where that is not
    the standard normal distribution; it becomes prior.onnx. Raises UserError when a weight is NaN or
    infinite, or a float graph differs from the model by more than `params.parity_tolerance`.
    """
    check_finite(model)
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
        export_graph(module, _inputs(name, images, train.latent_dim, 3), OUTPUTS[name], graphs[name])

    def parity(name: str) -> list[Case]:
        cases = (_inputs(name, images, train.latent_dim, batch) for batch in PARITY_BATCHES)
        return compare(graphs[name], modules.get(name, modules["float"]), cases, relative=("log_likelihood",))

    report = {name: parity(name) for name in modules}
    # A byte may differ where the value lies between two bytes.
    check_parity(report, params.parity_tolerance, unbounded=("images",))
    if "int8" in params.variants:
        graphs["int8"] = out / "int8.onnx"
        drawn = _drawn(params.calibration, train.latent_dim + bool(prior))
        latents = prior(torch.from_numpy(drawn)).numpy() if prior else drawn
        batches = np.array_split(latents, -(-params.calibration // 64))
        # The last convolution makes the pixels: 8 bits would round them twice.
        write_int8(
            graphs["float"],
            graphs["int8"],
            ({"latents": batch} for batch in batches),
            ["Conv", "MatMul"],
            {"Conv": [-1]},
        )
        report["int8"] = parity("int8")
    write_json(out / "parity.json", report)
    if "float" not in params.variants:
        graphs.pop("float").unlink()
    save_png(out / "progress.png", _film(model))
    shape = {"size": model.shape.size, "channels": model.shape.channels, "latent_dim": train.latent_dim}
    likelihood = train.likelihood if isinstance(model, Vae) else None
    spec = {**shape, "model": train.model, "likelihood": likelihood, "variants": list(params.variants)}
    spec["prior_components"] = len(prior.means) if prior else 0
    return BundleSpec(graphs=graphs, spec=spec)


def _inputs(name: str, images: np.ndarray, latent_dim: int, batch: int) -> dict[str, np.ndarray]:
    """An example of a graph's inputs, by name."""
    some = images[np.arange(batch) % len(images)]
    if name == "prior":
        return {"noise": _drawn(batch, latent_dim + 1)}
    if name == "encoder":
        return {"images": some}
    drawn = _drawn(batch, latent_dim)
    return {"images": some, "latents": drawn} if name == "likelihood" else {"latents": drawn}


def _drawn(count: int, latent_dim: int) -> np.ndarray:
    drawn: np.ndarray = np.random.RandomState(SEED).standard_normal((count, latent_dim)).astype(np.float32)
    return drawn


def _film(model: Vae | Gan) -> np.ndarray:
    """A row of samples for each of some epochs, the same latents every time; below them as many of an interpolation."""
    frames = model.progress.frames(FRAMES).numpy()
    _, _, across, height, width, channels = frames.shape
    rows = frames.transpose(1, 0, 2, 3, 4, 5).reshape(-1, height, width, channels)
    return sheet(rows, across)
