from __future__ import annotations

import io
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from components.datasets.faces.animal_head_reader import TABLE, boxes, held_out_heads, read_heads
from components.datasets.faces.reader import PHOTOGRAPHS, category_of
from components.errors import UserError
from components.labs.faces.params import Train
from components.sources.archive import read_tar, write_tar
from tests.face_data import RAW, section

ARCHIVE = RAW / "caltech101" / "caltech101_nonfaces.tar"


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if not ARCHIVE.exists():
        pytest.skip("no photographs: `make data` fetches them")
    folder = tmp_path_factory.mktemp("prepared")
    (folder / PHOTOGRAPHS).symlink_to(ARCHIVE)
    return folder


def test_every_box_is_a_square_inside_its_photograph(prepared: Path) -> None:
    wanted = boxes("hand") | boxes("detector")
    assert sum(map(len, wanted.values())) == len(TABLE.read_text().splitlines()) - 1
    sizes = {
        name: Image.open(io.BytesIO(content)).size
        for name, content in read_tar(prepared / PHOTOGRAPHS)
        if name in wanted
    }
    assert set(sizes) == set(wanted)
    for name, found in wanted.items():
        for left, top, right, bottom in found:
            assert right - left == bottom - top >= 20
            assert left >= 0 <= top
            assert right <= sizes[name][0]
            assert bottom <= sizes[name][1]


def test_the_animals_that_are_held_out_are_those_whose_heads_were_drawn_by_hand(prepared: Path) -> None:
    held_out = section(Train, "faces", "train").held_out
    heads = held_out_heads(prepared, held_out, 80)
    assert Counter(heads.category.tolist()) == {"dalmatian": 24, "llama": 20, "panda": 24, "pigeon": 23, "wild_cat": 18}
    assert heads.images.shape == (109, 80, 80, 3)
    assert heads.images.std(axis=(1, 2, 3)).min() > 10, "none is blank"
    assert not {category_of(name) for name in boxes("detector")} & set(held_out)


def test_a_head_is_what_its_box_holds(prepared: Path) -> None:
    name, content = next((name, content) for name, content in read_tar(prepared / PHOTOGRAPHS) if "panda" in name)
    found = read_heads(prepared, {name: [(30, 20, 94, 84)]}, 64)
    assert found.file.tolist() == [name]
    assert (found.images[0] == np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))[20:84, 30:94]).all()


def test_without_photographs_or_held_out_categories_there_are_no_heads(prepared: Path, tmp_path: Path) -> None:
    assert len(held_out_heads(tmp_path, ["panda"], 80)) == 0
    assert held_out_heads(prepared, [], 80).images.shape == (0, 80, 80, 3)


def test_a_damaged_photograph_is_named(tmp_path: Path) -> None:
    name = min(boxes("hand"))
    write_tar(tmp_path / PHOTOGRAPHS, [(name, b"no picture")])
    with pytest.raises(UserError, match=rf"{PHOTOGRAPHS}: {name} is damaged: run the step prepare again"):
        held_out_heads(tmp_path, [category_of(name)], 80)
