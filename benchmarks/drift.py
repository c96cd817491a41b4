"""How often requests that changed are noticed, and those that did not are taken for changed.

    python -m benchmarks.drift [--nottingham nottingham_abc_cleaned.tar]

It reads prepared data (`make repro` leaves it in build/) and, where they are there, the exported bundles of faces and
digits, for the features that ask the model. 1,000 windows are drawn from each kind of requests, as large as
params.yaml says, and compared as the APIs do. `held out` draws the reference anew, too, from the same data as the
window, and neither holds a value of the other. The Nottingham Music Database is at
https://github.com/jukedeck/nottingham-dataset, folder ABC_cleaned.
"""

from __future__ import annotations

import argparse
import json
import re
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter

from benchmarks.abc_collections import collections
from components.bundle import Bundle
from components.config import DriftLimits
from components.datasets.digits.reader import read_split
from components.datasets.faces.reader import face_pictures
from components.datasets.music.reader import read_texts
from components.drift import Reference, numbers, population_stability_index, threshold, words
from components.families.classification import features as digits
from components.families.classification.runtime import DigitModel, DistanceModel
from components.labs import find
from components.labs.faces import features as faces
from components.labs.faces.runtime.model import FaceModel
from components.labs.music import features as music
from components.params import load

RESULTS = Path(__file__).parent / "results" / "drift.json"
BUILD = Path("build")
DRAWS = 1000

Values = Sequence[float | str]
Features = Mapping[str, Values]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nottingham", type=Path, help="tar of the Nottingham Music Database's ABC files")
    arguments = parser.parse_args()
    labs = {"music": of_music(arguments.nottingham), "faces": of_faces(), "digits": of_digits()}
    result = {name: dict(measured(name, *found)) for name, found in labs.items()}
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))


def measured(lab: str, known: Features, kinds: Mapping[str, Features]) -> Iterator[tuple[str, object]]:
    """known: what the reference is of. kinds: values of requests, by what they are."""
    limits = load(find(lab), Path("params.yaml")).serve
    assert isinstance(limits, DriftLimits)
    size, rate = limits.drift_window, limits.drift_alarm_rate / len(known)
    draw = np.random.default_rng(1)
    alarms = {name: held_out(values, size, rate, draw) for name, values in known.items()}
    yield "held out", {"values": {name: len(values) for name, values in known.items()}, "windows that drift": alarms}
    for kind, found in kinds.items():
        yield kind, {name: changed(known[name], found[name], size, rate, draw) for name in found if name in known}


def held_out(values: Values, size: int, rate: float, draw: np.random.Generator) -> int:
    """Windows that drift of DRAWS, each compared with a reference of all other values."""
    found = 0
    for _ in range(DRAWS):
        rows = draw.permutation(len(values))
        reference = reference_of([values[row] for row in rows[size:]])
        window = reference.count(values[row] for row in rows[:size])
        found += population_stability_index(reference.counts, window) > limit(reference, size, rate)
    return found


def changed(known: Values, values: Values, size: int, rate: float, draw: np.random.Generator) -> dict[str, float]:
    """How far windows of these values are from the reference, and how many of DRAWS drift."""
    reference = reference_of(known)
    bins = np.array([reference.bin_of(value) for value in values])
    distances = [
        population_stability_index(
            reference.counts,
            np.bincount(draw.choice(bins, size, replace=len(bins) < size), minlength=len(reference.counts)).tolist(),
        )
        for _ in range(DRAWS)
    ]
    bound = limit(reference, size, rate)
    return {
        "median distance": round(float(np.median(distances)), 3),
        "threshold": round(bound, 3),
        "windows that drift": int(np.sum(np.array(distances) > bound)),
    }


def reference_of(values: Values) -> Reference:
    texts = [value for value in values if isinstance(value, str)]
    return words(texts, "") if texts else numbers(np.array(values, float), "")


def limit(reference: Reference, size: int, rate: float) -> float:
    return threshold(reference.values, size, len(reference.counts), rate)


def of_music(nottingham: Path | None) -> tuple[Features, dict[str, Features]]:
    prepared = BUILD / "music" / "prepare"
    known = melodies([tune for split in ("train", "validation") for tune in read_texts(prepared, split)])
    others: dict[str, list[str]] = {}
    for name, text in collections():
        others.setdefault(name, []).append(text)
    if nottingham:
        with tarfile.open(nottingham) as tar:
            files = [tar.extractfile(member) for member in tar if member.name.endswith(".abc")]
            text = "\n".join(file.read().decode("latin-1") for file in files if file)
        others["nottingham"] = [f"X:{tune.strip()}" for tune in re.split(r"(?m)^X:", text)[1:]]
    return known, {name: melodies(tunes) for name, tunes in others.items()}


def melodies(tunes: Sequence[str]) -> Features:
    found = [music.melody(tune) for tune in tunes]
    return {name: [each[name] for each in found if name in each] for name in (music.KEY, *music.MELODY)}


def of_faces() -> tuple[Features, dict[str, Features]]:
    prepared, folder = BUILD / "faces" / "prepare", BUILD / "faces" / "export"
    model = FaceModel.load(Bundle.open(folder)) if folder.is_dir() else None

    def features(pictures: np.ndarray) -> Features:
        logits = model.logits(pictures) if model else np.zeros(len(pictures))
        found = faces.features(pictures, logits)
        return {name: found[name].tolist() for name in found if model or name != faces.SCORE}

    audit = face_pictures(prepared, "audit")
    kinds = {
        "audit faces": audit,
        "half as bright": audit // 2,
        "a third as bright": audit // 3,
        **{f"blurred by {radius} pixel of 64": blurred(audit, radius) for radius in (0.5, 1.0)},
    }
    known = features(face_pictures(prepared, "validation"))
    return known, {name: features(pictures) for name, pictures in kinds.items()}


def blurred(pictures: np.ndarray, radius: float) -> np.ndarray:
    images = (Image.fromarray(picture).filter(ImageFilter.GaussianBlur(radius)) for picture in pictures)
    return np.stack([np.asarray(image) for image in images])


def of_digits() -> tuple[Features, dict[str, Features]]:
    prepared, folder = BUILD / "digits" / "prepare", BUILD / "digits" / "export"
    bundle = Bundle.open(folder) if folder.is_dir() else None
    model, distance = (DigitModel.load(bundle), DistanceModel.load(bundle)) if bundle else (None, None)

    def features(images: np.ndarray) -> Features:
        probabilities = model.probabilities(images).max(axis=1) if model else np.ones(len(images))
        found = digits.features(images, probabilities, distance.distances(images) if distance else None)
        return {name: found[name].tolist() for name in found if model or name != digits.PROBABILITY}

    test = read_split(prepared, "test").images
    kinds = {"test digits": test, "inverted": 255 - test}
    known = features(read_split(prepared, "validation").images)
    return known, {name: features(images) for name, images in kinds.items()}


if __name__ == "__main__":
    main()
