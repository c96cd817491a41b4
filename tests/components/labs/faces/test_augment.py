from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from components.datasets.faces.reader import centre, read_split
from components.labs.faces.params import Train
from components.labs.faces.training.augment import augmented, plain

STILL = {"shift": 0.0, "zoom": 1.0, "rotation": 0.0, "colour": 0.0, "grey": 0.0, "blur": 0.0, "noise": 0.0}


@pytest.fixture(scope="module")
def images(prepared_faces: Path) -> torch.Tensor:
    return torch.from_numpy(np.array(read_split(prepared_faces, "train").images[:24]))


def changed(params: Train, **changes: float) -> Train:
    return params.model_copy(update=STILL | changes)


def test_without_jitter_the_middle_comes_out_or_its_mirror_image(images: torch.Tensor, train_params: Train) -> None:
    pictures, middle = augmented(images, changed(train_params)), plain(images)
    as_it_is = (pictures - middle).abs().amax(dim=(1, 2, 3)) < 1e-4
    mirrored = (pictures - middle.flip(3)).abs().amax(dim=(1, 2, 3)) < 1e-4
    assert (as_it_is | mirrored).all()
    assert as_it_is.any()
    assert mirrored.any()


def test_the_middle_is_the_one_that_is_measured(images: torch.Tensor) -> None:
    measured = centre(images.numpy()).transpose(0, 3, 1, 2) / np.float32(255)
    np.testing.assert_allclose(plain(images).numpy(), measured, atol=1e-6)


def test_zooming_and_shifting_moves_a_mark_as_far_as_the_parameters_allow(train_params: Train) -> None:
    images = torch.zeros(64, 80, 80, 3, dtype=torch.uint8)
    images[:, 38:42, 38:42] = 255
    pictures = augmented(images, changed(train_params, shift=0.12)).mean(dim=1)
    columns = (pictures.sum(dim=1) * torch.arange(64)).sum(dim=1) / pictures.sum(dim=(1, 2))
    away = (columns - 31.5).abs()
    assert away.max() <= 0.12 * 64 + 0.1
    assert away.max() > 0.08 * 64


def test_rotation_turns_by_at_most_its_parameter(train_params: Train) -> None:
    images = torch.zeros(64, 80, 80, 3, dtype=torch.uint8)
    images[:, 39:41] = 255  # a level bar
    pictures = augmented(images, changed(train_params, rotation=15.0)).mean(dim=1)
    rows = torch.arange(64.0)[:, None]
    heights = (pictures * rows).sum(dim=1) / pictures.sum(dim=1)
    angles = torch.atan2(heights[:, 56] - heights[:, 8], torch.tensor(48.0)).rad2deg().abs()
    assert angles.max() <= 15.5
    assert angles.max() > 8


def test_every_draw_stays_a_picture_in_0_to_1_and_other_seeds_give_others(
    images: torch.Tensor, train_params: Train
) -> None:
    torch.manual_seed(1)
    first = augmented(images, train_params)
    torch.manual_seed(1)
    again = augmented(images, train_params)
    other = augmented(images, train_params)
    assert first.shape == (24, 3, 64, 64)
    assert first.min() >= 0
    assert first.max() <= 1
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_grey_pictures_have_one_value_for_all_colours(images: torch.Tensor, train_params: Train) -> None:
    pictures = augmented(images, changed(train_params, grey=1.0))
    assert (pictures.amax(dim=1) - pictures.amin(dim=1)).max() < 1e-4


def test_blur_leaves_less_detail_in_its_share_of_a_batch(images: torch.Tensor, train_params: Train) -> None:
    pictures = augmented(images, changed(train_params, blur=0.5))
    detail = pictures.diff(dim=3).abs().mean(dim=(1, 2, 3))
    sharp = plain(images).diff(dim=3).abs().mean(dim=(1, 2, 3))
    assert (detail[:12] < 0.99 * sharp[:12]).all()
    assert torch.allclose(detail[12:], sharp[12:], atol=1e-4)


def test_autocast_does_not_make_colours_coarse(images: torch.Tensor, train_params: Train) -> None:
    with torch.autocast("cpu", torch.bfloat16):
        pictures = augmented(images, changed(train_params))
    assert pictures.dtype == torch.float32
    assert len(pictures[0].unique()) > 150
