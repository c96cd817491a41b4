"""Batches: every picture once an epoch, moved as the parameters say, the same for the same (seed, epoch)."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch.nn import functional

from components.families.classification.evaluation.corruptions import blurred, shifted
from components.families.classification.params import Augmentation
from components.families.classification.training.batches import DigitsData, augmented
from components.families.classification.training.ink import to_ink
from components.labs.mlp.params import Train
from tests.digits_data import prepared
from tests.face_data import section

STILL = Augmentation(shift=0, rotation=0, scale=0, shear=0, blur=0, noise=0)
MOVED = Augmentation(shift=2, rotation=10, scale=0.1, shear=0.1, blur=1.5, noise=0.3)


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return prepared(tmp_path_factory.mktemp("prepared"), 300)


def data(digits: Path, augmentation: Augmentation = STILL, seed: int = 1) -> DigitsData:
    values = {"seed": seed, "batch_size": 32, "augmentation": augmentation.model_dump()}
    return DigitsData(digits, section(Train, "mlp", "train", **values))


def test_an_epoch_has_every_picture_once(digits: Path) -> None:
    module = data(digits)
    images, labels = module.train
    batches = list(module.epoch(3))
    assert len(batches) == len(module.epoch(3))
    assert {len(batch.labels) for batch in batches[:-1]} == {32}
    seen = torch.cat([batch.images for batch in batches]).flatten(1)
    assert sorted(map(tuple, seen.tolist())) == sorted(map(tuple, to_ink(images).flatten(1).tolist()))
    assert sorted(torch.cat([batch.labels for batch in batches]).tolist()) == sorted(labels.tolist())


@pytest.mark.parametrize(("pictures", "sizes"), [(65, [32, 32]), (66, [32, 32, 2]), (64, [32, 32])])
def test_a_single_picture_left_over_sits_out(pictures: int, sizes: list[int], digits: Path) -> None:
    module = data(digits)
    module.train = tuple(tensor[:pictures] for tensor in module.train)  # type: ignore[assignment]
    epoch = module.epoch(0)
    assert [len(batch.labels) for batch in epoch] == sizes
    assert len(epoch) == len(sizes)


def test_an_epoch_depends_on_seed_and_epoch_only(digits: Path) -> None:
    def first(seed: int, epoch: int) -> torch.Tensor:
        torch.rand(3)  # what others draw counts for nothing
        return data(digits, MOVED, seed).epoch(epoch)[0].images

    assert torch.equal(first(1, 2), first(1, 2))
    assert not torch.equal(first(1, 2), first(1, 3))
    assert not torch.equal(first(1, 2), first(2, 2))


def test_the_largest_seed_that_may_be_set_makes_batches_of_its_own(digits: Path) -> None:
    largest, before = (data(digits, MOVED, seed).epoch(3) for seed in (2**32 - 1, 2**32 - 2))
    assert not torch.equal(largest[0].images, before[0].images)


def test_validation_is_not_augmented(digits: Path) -> None:
    module = data(digits, MOVED)
    seen = torch.cat([batch.images for batch in module.val_dataloader()])
    assert torch.equal(seen, to_ink(module.validation[0]))


def test_augmentation_moves_no_farther_than_it_may(digits: Path) -> None:
    """A point of ink in the middle, shifted only: its centre of mass tells how far."""
    point = torch.zeros(500, 1, 28, 28)
    point[:, :, 12:16, 12:16] = 1
    moved = augmented(point, STILL.model_copy(update={"shift": 3.0}), torch.Generator().manual_seed(0))
    places = torch.arange(28.0) - 13.5
    across = (moved.sum(dim=(1, 2)) @ places) / moved.sum(dim=(1, 2, 3))
    assert 2.5 < float(across.abs().max()) <= 3.001
    assert abs(float(across.mean())) < 0.3


def test_augmentation_by_nothing_changes_nothing(digits: Path) -> None:
    images = to_ink(data(digits).train[0][:20])
    small = STILL.model_copy(update={"shift": 1e-9, "blur": 1e-9, "noise": 1e-9})
    assert augmented(images, STILL, torch.Generator()) is images
    assert torch.allclose(augmented(images, small, torch.Generator().manual_seed(0)), images, atol=1e-4)


def draws(pictures: int, seed: int) -> torch.Tensor:
    """What `augmented` draws first: a row for each kind, -1 to 1; the last two are blur and noise."""
    return torch.rand(7, pictures, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def test_pictures_are_turned_scaled_sheared_and_moved_as_torch_does_it(digits: Path) -> None:
    images = to_ink(data(digits).train[0][:40])
    still = MOVED.model_copy(update={"blur": 0.0, "noise": 0.0})
    turn, scale, shear, across, down = draws(40, 7)[:5]
    angle, scale, shear = torch.deg2rad(turn * 10), 1 + scale * 0.1, shear * 0.1
    cos, sin = angle.cos() / scale, angle.sin() / scale
    first = torch.stack([cos, shear * cos - sin, across * 2 * 2 / 28], dim=1)
    second = torch.stack([sin, shear * sin + cos, down * 2 * 2 / 28], dim=1)
    grid = functional.affine_grid(torch.stack([first, second], dim=1), [40, 1, 28, 28], align_corners=False)
    expected = functional.grid_sample(images, grid, align_corners=False)
    assert torch.allclose(augmented(images, still, torch.Generator().manual_seed(7)), expected, atol=1e-4)


def test_half_are_blurred_each_by_a_gaussian_of_its_own_as_evaluation_blurs(digits: Path) -> None:
    images = data(digits).train[0][:40]
    seen = augmented(to_ink(images), STILL.model_copy(update={"blur": 1.5}), torch.Generator().manual_seed(3))
    levels = draws(40, 3)[5] * 1.5
    assert 10 < int((levels > 0).sum()) < 30
    for picture, before, level in zip(seen[:, 0], images, levels.tolist(), strict=True):
        expected = blurred(before.numpy()[None], level)[0] if level > 0 else before.numpy()
        assert abs(picture.numpy() * 255 - expected).max() <= 0.5001


def test_half_get_noise_each_at_a_level_of_its_own_and_none_beyond_ink_and_paper() -> None:
    grey = torch.full((200, 1, 28, 28), 0.5)
    seen = augmented(grey, STILL.model_copy(update={"noise": 0.1}), torch.Generator().manual_seed(3))
    levels = draws(200, 3)[6].clamp(min=0) * 0.1
    assert torch.allclose(seen.std(dim=(1, 2, 3)), levels, atol=0.01)
    assert torch.equal(seen[levels == 0], grey[levels == 0])
    strong = augmented(grey, STILL.model_copy(update={"noise": 1.0}), torch.Generator().manual_seed(3))
    assert 0 <= float(strong.min()) < float(strong.max()) <= 1


def test_blur_and_noise_change_nothing_of_how_the_others_are_moved(digits: Path) -> None:
    images = to_ink(data(digits).train[0][:40])
    moved = MOVED.model_copy(update={"blur": 0.0, "noise": 0.0})
    both, alone = (augmented(images, each, torch.Generator().manual_seed(5)) for each in (MOVED, moved))
    untouched = (draws(40, 5)[5:] <= 0).all(dim=0)
    assert untouched.any()
    assert torch.allclose(both[untouched], alone[untouched], atol=1e-6)
    assert not torch.allclose(both[~untouched], alone[~untouched], atol=1e-2)


def test_a_whole_shift_moves_bytes(digits: Path) -> None:
    images = data(digits).train[0][:5].numpy()
    moved = shifted(images, 2, -1)
    assert (moved[:, 2:, :-1] == images[:, :-2, 1:]).all()
    assert moved[:, :2].max() == 0
