"""Pictures of games: films, strips, and single pictures as files."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from PIL import Image

WIDTH = 240
"""Pixels of a film's picture, and of one in a strip."""
MILLISECONDS = 60
COLOURS = 32
"""Colours of a film: games have few."""


class Scene(NamedTuple):
    """pictures: (H, W, 3) uint8 each, in order."""

    title: str
    pictures: Sequence[np.ndarray]


def save_film(path: Path, scenes: Sequence[Scene], most: int) -> None:
    """Writes scenes one after the other as an animated GIF, each with its title; `most` pictures of each, evenly."""
    frames = [
        _titled(scene.pictures[row], scene.title, WIDTH)
        for scene in scenes
        for row in evenly(len(scene.pictures), most)
    ]
    first, *others = [frame.quantize(COLOURS) for frame in frames]
    first.save(path, save_all=True, append_images=others, duration=MILLISECONDS, loop=0, optimize=False)


def strip(scene: Scene, count: int) -> bytes:
    """The last `count` pictures of a scene side by side, every third one, as a PNG file."""
    shown = list(scene.pictures)[::-3][:count][::-1]
    pictures = [np.asarray(_titled(picture, "", WIDTH // 2)) for picture in shown]
    return png(np.concatenate(pictures, axis=1))


def png(picture: np.ndarray, quick: bool = False) -> bytes:
    """A picture (H, W, 3) uint8 as a PNG file. quick: larger, and made in a third of the time."""
    from PIL import Image

    file = BytesIO()
    Image.fromarray(picture).save(file, "png", compress_level=1 if quick else 6)
    return file.getvalue()


def evenly(count: int, most: int) -> list[int]:
    """At most `most` of `count` places, the first and the last among them."""
    return sorted({round(place) for place in np.linspace(0, count - 1, min(most, count))})


def _titled(picture: np.ndarray, title: str, width: int) -> Image.Image:
    from PIL import Image, ImageDraw

    found = Image.fromarray(picture)
    found = found.resize((width, round(found.height * width / found.width)))
    if title:
        draw = ImageDraw.Draw(found)
        draw.rectangle((0, 0, width, 14), fill=(255, 255, 255))
        draw.text((4, 1), title, fill=(31, 41, 51))
    return found
