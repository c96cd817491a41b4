"""Pictures of a seed are the same whoever asks, and for how many."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from components.errors import UserError
from components.families.generation.runtime import Generator
from components.report.pictures import sheet
from components.stats import great_circle

SPEC = {"size": 2, "channels": 1, "latent_dim": 4}


class Session:
    """A graph whose picture is the sign of its four latents."""

    def run(self, outputs: list[str], inputs: dict[str, np.ndarray]) -> list[np.ndarray]:
        return [(255 * (inputs["latents"] > 0)).astype(np.uint8).reshape(-1, 2, 2, 1)]


@pytest.fixture
def generator() -> Generator:
    session: Any = Session()
    return Generator(SPEC, session)


def test_latents_are_the_numbers_that_every_version_of_numpy_draws(generator: Generator) -> None:
    assert generator.latents(1, 1)[0] == pytest.approx([1.6243454, -0.6117564, -0.5281718, -1.0729686])


def test_more_pictures_begin_with_the_same_ones(generator: Generator) -> None:
    assert np.array_equal(generator.samples(7, 3), generator.samples(7, 9)[:3])
    assert not np.array_equal(generator.samples(8, 9), generator.samples(7, 9))


def test_an_interpolation_goes_from_the_one_seeds_picture_to_the_others(generator: Generator) -> None:
    way = generator.interpolation(3, 4, 5)
    assert way.shape == (5, 2, 2, 1)
    assert np.array_equal(way[0], generator.samples(3, 1)[0])
    assert np.array_equal(way[-1], generator.samples(4, 1)[0])


def test_latents_on_the_way_are_as_long_as_those_at_its_ends() -> None:
    first, last = np.array([3.0, 0.0], np.float32), np.array([0.0, 3.0], np.float32)
    assert np.linalg.norm(great_circle(first, last, 7), axis=1) == pytest.approx([3] * 7)
    assert great_circle(first, first, 3) == pytest.approx(np.stack([first] * 3))


def test_a_sheet_leaves_white_what_it_has_no_picture_for() -> None:
    pictures = np.arange(3, dtype=np.uint8).reshape(3, 1, 1, 1).repeat(2, axis=1)
    assert sheet(pictures, 2)[:, :, 0].tolist() == [[0, 1], [0, 1], [2, 255], [2, 255]]


def test_what_is_no_request_is_refused_in_words(generator: Generator) -> None:
    with pytest.raises(UserError, match="0 pictures cannot be made"):
        generator.samples(1, 0)
    with pytest.raises(UserError, match=r"latents are \(N, 4\) float32"):
        generator.pictures(np.zeros((2, 3), np.float32))
