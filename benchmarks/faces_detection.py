"""How well and fast faces are found in photographs, beside OpenCV's cascades: `python -m benchmarks.faces_detection`.

The same composed scenes for all, one thread. What is to be chosen is chosen on scenes of the validation split: for a
cascade how many neighbours a box needs and how its frame, which is tighter than ours, is enlarged and moved to fit
best; for everyone the threshold at which a scene has `false_boxes` of them. All else is measured on audit scenes.
The scenes are collages of faces and photographs that look like what our detector learned from; the cascades' do not.
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
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnxruntime
from cv2.data import haarcascades

from benchmarks.generation import processor
from components.bundle import Bundle
from components.datasets.faces.reader import read_split
from components.errors import UserError
from components.files import read_json, write_json
from components.labs.faces import LAB
from components.labs.faces.evaluation.scenes import Scene, average_precision, compose, matched
from components.labs.faces.params import Evaluate
from components.labs.faces.runtime.detection import Found, detect
from components.labs.faces.runtime.model import FaceModel
from components.params import load

ROOT = Path(__file__).resolve().parent.parent
NEIGHBOURS = (1, 2, 3, 5)
ENLARGED = (0.8, 0.9, 1.0, 1.1, 1.2, 1.35, 1.5)
RAISED = (-0.1, -0.05, 0.0, 0.05, 0.1)
"""Share of its side by which a cascade's box is moved up."""
SMALLEST = 0.6
"""Side of the smallest face, as we frame it, that a cascade looks for."""

Detector = Callable[[np.ndarray], Found]

log = logging.getLogger(__name__)


def cascades() -> dict[str, Path]:
    """The two best known of those that come inside OpenCV's package, of Haar features."""
    folder = Path(haarcascades)
    return {name: folder / f"haarcascade_frontalface_{name}.xml" for name in ("default", "alt2")}


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
    """Boxes grown about their middle and moved up."""
    boxes = found.boxes
    middle, side = (boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]
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
    turns, milliseconds = [], []
    for scenes in audit:
        found, took = run(detector, scenes)
        shown = [right for score, right in matched(scenes, found) if score > threshold]
        turns.append(
            {
                "average_precision": average_precision(scenes, found),
                "recall": sum(shown) / sum(len(scene.boxes) for scene in scenes),
                "false_boxes": (len(shown) - sum(shown)) / len(scenes),
            }
        )
        milliseconds += took
    means = {name: statistics.fmean(turn[name] for turn in turns) for name in turns[0]}
    return means | {"milliseconds": statistics.median(milliseconds), "turns": turns}


def measure(build: Path, params: Evaluate, seeds: Sequence[int]) -> dict[str, Any]:
    cv2.setNumThreads(1)
    validation = compose(read_split(build / "prepare", "validation"), params.scenes, params.seed)
    audit = [compose(read_split(build / "prepare", "audit"), params.scenes, seed) for seed in seeds]
    serve = read_json(build / "evaluate" / "evaluation.json")["serve"]
    model = FaceModel.load(Bundle.open(build / "export"), serve["variant"])
    ours: Detector = partial(_ours, model, serve["threshold"], params)
    found, _ = run(ours, validation)
    detectors = {"ours": judged(ours, threshold_of(validation, found, params.false_boxes), audit)}
    log.info("ours: %s", detectors["ours"])
    smallest = round(SMALLEST * params.detection.min_face)
    for name, path in cascades().items():
        tried = {}
        for neighbours in NEIGHBOURS:
            found, _ = run(cascade(path, smallest, neighbours), validation)
            frame = chosen_frame(validation, found)
            boxes = [reframed(of_scene, *frame) for of_scene in found]
            tried[neighbours] = average_precision(validation, boxes), frame, boxes
        neighbours = max(tried, key=lambda count: tried[count][0])
        _, (enlarged, raised), boxes = tried[neighbours]
        detector: Detector = partial(_reframing, cascade(path, smallest, neighbours), enlarged, raised)
        chosen = {"neighbours": neighbours, "enlarged": enlarged, "raised": raised}
        measured = judged(detector, threshold_of(validation, boxes, params.false_boxes), audit)
        detectors[f"haar_{name}"] = measured | {"chosen_on_validation": chosen}
        log.info("%s: %s", name, detectors[f"haar_{name}"])
    return {
        "unit": "average precision at IoU 0.5 and processor milliseconds a scene of 640 x 480, one thread",
        "detectors": detectors,
        "scenes": len(seeds) * params.scenes,
        "faces": sum(len(scene.boxes) for scenes in audit for scene in scenes),
        "false_boxes_allowed_on_validation": params.false_boxes,
    }


def _ours(model: FaceModel, threshold: float, params: Evaluate, photograph: np.ndarray) -> Found:
    return detect(model, photograph, threshold, params.detection)


def _reframing(detector: Detector, enlarged: float, raised: float, photograph: np.ndarray) -> Found:
    return reframed(detector(photograph), enlarged, raised)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", type=Path, default=ROOT / "build" / "faces", help="what the steps wrote")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "faces_detection.json")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3], help="a set of audit scenes for each")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    params = load(LAB, ROOT / "params.yaml").evaluate
    assert isinstance(params, Evaluate)
    result = measure(options.build, params, options.seeds)
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
