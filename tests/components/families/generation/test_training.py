"""What an epoch shows, what the discriminator is shown, and what a picture may measure."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from components.errors import UserError
from components.families.generation.params import Train
from components.families.generation.training.batches import PictureData
from components.families.generation.training.gan import moved, sliced_distance
from components.families.generation.training.networks import Decoder, Shape, discriminator, encoder
from components.training.epochs import Epoch
from tests.face_data import section


def params(**changed: object) -> Train:
    train = section(Train, "digit_generation", "train")
    return train.model_copy(update={"batch_size": 8, **changed})


def epoch_of(images: np.ndarray, number: int, **changed: object) -> Epoch[torch.Tensor]:
    return PictureData(images, images[:1], params(**changed)).epoch(number)


def test_an_epoch_shows_every_picture_once_in_an_order_of_its_seed_and_number() -> None:
    images = np.arange(24, dtype=np.uint8).reshape(24, 1, 1, 1)
    first, again = epoch_of(images, 3), epoch_of(images, 3)
    shown = torch.cat(list(first)).flatten()
    assert sorted(shown.tolist()) == list(range(24))
    assert all(torch.equal(first[index], again[index]) for index in range(3))
    assert not torch.equal(epoch_of(images, 4)[0], first[0])
    assert not torch.equal(epoch_of(images, 3, seed=2)[0], first[0])


def test_the_largest_seed_that_may_be_set_makes_an_epoch_of_its_own() -> None:
    images = np.arange(24, dtype=np.uint8).reshape(24, 1, 1, 1)
    largest, before = (epoch_of(images, 3, seed=seed, flip=True) for seed in (2**32 - 1, 2**32 - 2))
    assert not torch.equal(largest[0], before[0])


def test_half_of_the_pictures_are_mirrored_where_that_is_asked_for() -> None:
    picture = np.array([[[1], [2]]], np.uint8)
    epoch = epoch_of(np.repeat(picture[None], 400, axis=0), 0, flip=True, batch_size=400)
    mirrored = epoch[0][:, 0, 0, 0] == 2
    assert 0.4 < mirrored.float().mean() < 0.6
    assert epoch[0][mirrored][0].flatten().tolist() == [2, 1]


def test_too_few_pictures_for_a_batch_are_one_line() -> None:
    few = np.zeros((5, 4, 4, 1), np.uint8)
    with pytest.raises(UserError, match="5 training pictures are too few for a batch of 8"):
        PictureData(few, few, params())


def test_a_moved_picture_is_the_same_picture_elsewhere() -> None:
    torch.manual_seed(0)
    pictures = torch.zeros(40, 2, 16, 16)
    pictures[:, :, 8, 8] = 1
    found = moved(pictures, 0.25)
    assert torch.equal(found.sum(dim=(2, 3)), torch.ones(40, 2)), "the dot is on every picture once"
    places = found[:, 0].flatten(1).argmax(dim=1)
    assert torch.equal(places, found[:, 1].flatten(1).argmax(dim=1)), "channels move together"
    rows, columns = places // 16, places % 16
    assert len(set(rows.tolist())) > 4
    assert ((rows - 8).abs() <= 4).all()
    assert ((columns - 8).abs() <= 4).all()
    assert torch.equal(moved(pictures, 0.0), pictures)


def test_the_sliced_distance_is_none_for_equal_sets_and_grows_with_the_difference() -> None:
    draw = torch.Generator().manual_seed(0)
    real = torch.rand(300, 1, 8, 8, generator=draw)

    def distance(made: torch.Tensor) -> float:
        return float(sliced_distance(made, real, torch.Generator().manual_seed(1)))

    assert distance(real.flip(0)) == pytest.approx(0, abs=1e-6), "the order says nothing"
    assert 0 < distance(real + 0.1) < distance(real + 0.5)
    assert distance(real.mean(dim=0, keepdim=True).expand_as(real)) > 0, "one picture for all is no set of pictures"


@pytest.mark.parametrize("shape", [Shape(28, 1), Shape(64, 3)])
def test_the_networks_fit_pictures_of_both_kinds(shape: Shape) -> None:
    pictures = Decoder(shape, 5, (8, 4))(torch.zeros(3, 5))
    assert pictures.shape == (3, shape.channels, shape.size, shape.size)
    assert encoder(shape, 6, (8, 4))(pictures).shape == (3, 6)
    assert discriminator(shape, (8, 4))(pictures).shape == (3, 1)


def test_widths_that_do_not_fit_the_picture_are_one_line() -> None:
    with pytest.raises(UserError, match="3 widths: pictures of 28 pixels cannot halve so often"):
        Decoder(Shape(28, 1), 5, (8, 8, 8))
