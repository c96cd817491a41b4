"""Turns a trained driver into ONNX graphs that read whole frames, and checks that they compute the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from components.bundle import BundleSpec
from components.datasets.driving.game_reader import racing
from components.datasets.environments.reader import Environment
from components.files import write_json
from components.labs.driving.params import Export
from components.labs.driving.training.collection import Eyes, action_of
from components.labs.driving.training.film import Film
from components.labs.driving.training.model import DrivingModel
from components.labs.driving.training.network import FRAMES, pictures_of, readings_of, within_range
from components.onnx.export import export_graph
from components.onnx.parity import check_parity, compare
from components.onnx.quantisation import write_int8
from components.training.finite import check_finite

PARITY_BATCHES = (1, 2, 7, 32)
"""Batch sizes at which the graphs are compared; the export itself sees another."""
CALIBRATION_BATCH = 50
FRAME_MILLISECONDS = 80
"""Time for which a frame of the film is shown."""


class Policy(nn.Module):
    """Frames (B, 2, 96, 96, 3) uint8, the earlier decision's first, to actions (B, 3): steering, gas, brake."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, frames: Tensor) -> Tensor:
        return within_range(self.network(pictures_of(frames), readings_of(frames)))


def export(model: DrivingModel, prepared: Path, out: Path, params: Export) -> BundleSpec:
    """Writes <variant>.onnx of each variant, parity.json, training.json and progress.gif.

    The ranges of int8 are fixed by frames of training tracks on which the model drives. Raises UserError when a weight
    is NaN or infinite, or the float graph differs from the model by more than `params.parity_tolerance`.
    """
    check_finite(model.network)
    model = model.cpu().float().eval()
    environment = Environment.read(prepared)
    policy = Policy(model.network).to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    frames = _driven(model, environment, params.calibration_tracks)
    graphs = {"float": out / "float.onnx"}
    export_graph(policy, {"frames": frames[:3]}, ("actions",), graphs["float"])
    cases = [{"frames": frames[np.arange(size) * 7 % len(frames)]} for size in PARITY_BATCHES]
    report = {"float": compare(graphs["float"], policy, cases)}
    check_parity(report, params.parity_tolerance)
    if "int8" in params.variants:
        graphs["int8"] = out / "int8.onnx"
        batches = np.array_split(frames, -(-len(frames) // CALIBRATION_BATCH))
        write_int8(
            graphs["float"], graphs["int8"], ({"frames": batch} for batch in batches), ["Conv", "Gemm", "MatMul"]
        )
        report["int8"] = compare(graphs["int8"], policy, cases)
    write_json(out / "parity.json", report)
    write_json(out / "training.json", model.curve.columns())
    if "float" not in params.variants:
        graphs.pop("float").unlink()
    save_film(out / "progress.gif", model.film)
    rounds = [number for number, there in zip(model.film.rounds, model.film.recorded.tolist(), strict=True) if there]
    return BundleSpec(
        graphs=graphs,
        spec={
            "environment": environment.model_dump(mode="json"),
            "algorithm": "dagger+ppo" if model.fine_tuning else "dagger",
            "variants": list(params.variants),
            "frames": FRAMES,
            "hold": model.params.hold,
            "film_rounds": rounds,
            "expert": model.params.expert.model_dump(),
        },
    )


def save_film(path: Path, film: Film) -> None:
    """An endless GIF of all recorded stages side by side; none where nothing was recorded."""
    from PIL import Image

    stages = film.frames[film.recorded].numpy()
    if not len(stages):
        return
    joined = np.concatenate(list(stages), axis=2)
    first, *rest = (Image.fromarray(frame) for frame in joined)
    first.save(path, save_all=True, append_images=rest, duration=FRAME_MILLISECONDS, loop=0)


def _driven(model: DrivingModel, environment: Environment, tracks: int) -> np.ndarray:
    """(N, 2, 96, 96, 3) uint8: what the model sees on the first training tracks."""
    game, pairs = racing(environment), list[np.ndarray]()
    for index in range(tracks):
        game.start(environment.seed("train", index))
        eyes, frame, over = Eyes(), game.frame(), False
        before = frame
        while not over:
            pairs.append(np.stack([before, frame]))
            _, over = game.hold(action_of(model.drive(*eyes.look(frame))), model.params.hold)
            before, frame = frame, game.frame()
    return np.stack(pairs)
