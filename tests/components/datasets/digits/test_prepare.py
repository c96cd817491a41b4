"""From the raw files to prepared digits."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from components.config import DatasetParams
from components.datasets.digits.prepare import RULES, prepare
from components.datasets.digits.raw import read_raw
from components.datasets.digits.reader import SPLITS, read_split
from components.errors import UserError
from tests.digits_data import prepared, raw_folders


def idx(values: np.ndarray) -> bytes:
    header = bytes((0, 0, 8, values.ndim)) + b"".join(size.to_bytes(4, "big") for size in values.shape)
    return gzip.compress(header + values.astype(np.uint8).tobytes())


def mnist_folder(folder: Path, train: np.ndarray, test: np.ndarray) -> Path:
    """A folder of raw digits with these pictures for MNIST; labels count up."""
    (folder / "mnist").mkdir(parents=True)
    for name, images in (("train", train), ("t10k", test)):
        (folder / "mnist" / f"{name}-images-idx3-ubyte.gz").write_bytes(idx(images))
        (folder / "mnist" / f"{name}-labels-idx1-ubyte.gz").write_bytes(idx(np.arange(len(images)) % 10))
    return folder


def pictures(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, 28, 28), dtype=np.uint8)


def test_mnist_keeps_its_published_test_set(tmp_path: Path) -> None:
    if "mnist" not in raw_folders():
        pytest.skip("mnist is not here: `make data` fetches it")
    report = prepare(raw_folders()["mnist"], tmp_path, DatasetParams(profile="course", limit=0))
    assert report["splits"] == {"train": 53851, "validation": 6149, "test": 10000}
    assert report["dropped"]["duplicate"]["count"] == 0
    raw = read_raw(raw_folders()["mnist"])
    test = read_split(tmp_path, "test")
    assert np.array_equal(test.images, raw.images[raw.published == "test"])
    assert np.array_equal(test.labels, raw.labels[raw.published == "test"])
    assert test.labels[:5].tolist() == [7, 2, 1, 0, 4]


def test_scikit_learns_digits_become_pictures_of_mnists_kind(tmp_path: Path) -> None:
    folder = prepared(tmp_path, 0)
    splits = {split: read_split(folder, split) for split in SPLITS}
    assert {split: len(found.labels) for split, found in splits.items()} == {
        "train": 1423,
        "validation": 191,
        "test": 183,
    }
    images = np.concatenate([found.images for found in splits.values()])
    assert images.shape[1:] == (28, 28)
    assert images.max() == 255
    assert images[:, :4].max() == images[:, :, -4:].max() == 0


def test_preparing_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one", "two"):
        prepared(tmp_path / name, 300)
    for file in sorted((tmp_path / "one").iterdir()):
        assert file.read_bytes() == (tmp_path / "two" / file.name).read_bytes()


@pytest.mark.parametrize("limit", [30, 150, 1796])
def test_a_limit_takes_some_of_every_split_and_moves_none(limit: int, tmp_path: Path) -> None:
    every, some = prepared(tmp_path / "every", 0), prepared(tmp_path / "some", limit)
    total = 0
    for split in SPLITS:
        all_rows, rows = np.load(every / f"{split}_rows.npy"), np.load(some / f"{split}_rows.npy")
        assert set(rows) <= set(all_rows)
        assert len(rows) > 0
        total += len(rows)
    assert abs(total - limit) <= 2


def test_a_picture_of_the_test_set_is_dropped_from_training(tmp_path: Path) -> None:
    train, test = pictures(200), pictures(5, seed=1)
    train[17] = test[3]
    train[20] = train[19]
    report = prepare(mnist_folder(tmp_path / "raw", train, test), tmp_path, DatasetParams(profile="course", limit=0))
    assert report["splits"]["test"] == 5
    assert report["dropped"]["duplicate"]["count"] == 2
    rows = np.concatenate([np.load(tmp_path / f"{split}_rows.npy") for split in ("train", "validation")])
    assert 17 not in rows
    assert set(report["dropped"]) == set(RULES)


@pytest.mark.parametrize(
    ("spoil", "complaint"),
    [
        (lambda folder: (folder / "t10k-labels-idx1-ubyte.gz").unlink(), "No such file"),
        (lambda folder: (folder / "t10k-labels-idx1-ubyte.gz").write_bytes(b"no gzip"), "not a whole gzip file"),
        (lambda folder: (folder / "t10k-labels-idx1-ubyte.gz").write_bytes(idx(pictures(1))), "not an IDX file of 1"),
        (lambda folder: (folder / "t10k-labels-idx1-ubyte.gz").write_bytes(idx(np.zeros(4))), "a label each"),
        (
            lambda folder: (folder / "train-images-idx3-ubyte.gz").write_bytes(
                gzip.compress(gzip.decompress((folder / "train-images-idx3-ubyte.gz").read_bytes())[:-1])
            ),
            "not an IDX file of 3",
        ),
    ],
)
def test_a_damaged_file_is_one_line_that_names_it(
    spoil: Callable[[Path], object], complaint: str, tmp_path: Path
) -> None:
    raw = mnist_folder(tmp_path / "raw", pictures(30), pictures(5, seed=1))
    spoil(raw / "mnist")
    with pytest.raises(UserError, match=complaint) as error:
        read_raw(raw)
    assert "\n" not in str(error.value)
    assert "mnist" in str(error.value)


def test_a_folder_without_digits_says_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="run the step fetch"):
        read_raw(tmp_path)
    with pytest.raises(UserError, match="run the step prepare first"):
        read_split(tmp_path, "train")
