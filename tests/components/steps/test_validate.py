"""The step validate lets good data pass, and stops at bad data with a report that can be opened."""

from pathlib import Path

import pytest

from components.config import DatasetParams
from components.datasets import find_dataset
from components.datasets.music.raw import FILE
from components.errors import UserError
from components.params import load_dataset
from components.settings import project_root
from components.steps.prepare import prepare
from components.steps.validate import validate
from tests.music_data import RAW, raw_folder

MUSIC = find_dataset("music")
REPORT = ["prepared.html", "raw.html", "validation.json"]
STRANGE = "X:1\nT:New\nZ: id:dc-reel-999\nM:C\nL:1/8\nK:D Major\nd4 é d4|d8|]"


@pytest.fixture
def params() -> DatasetParams:
    return load_dataset(MUSIC, project_root() / "params.yaml").model_copy(update={"collections": ()})


def names(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir())


def test_new_dirt_stops_the_graph_and_the_report_shows_it_until_the_data_is_good_again(
    params: DatasetParams, tmp_path: Path
) -> None:
    prepared, out, failed = (tmp_path / name for name in ("prepare", "validate", "validate.failed"))
    text = (RAW / FILE).read_text()
    dirty = raw_folder(tmp_path / "raw", f"{text}\n{STRANGE}\n")
    line = text.count("\n") + 2
    prepare(MUSIC, params, dirty, prepared)
    with pytest.raises(UserError) as caught:
        validate(MUSIC, params, dirty, prepared, out)
    message = str(caught.value)
    assert "\n" not in message
    assert "music raw: expect_column_values_to_match_regex failed for column 'alphabet'" in message
    assert f"(line {line}) (and 2 more)" in message
    assert str(failed / "raw.html") in message
    assert names(failed) == REPORT
    assert "NOT met" in (failed / "raw.html").read_text()
    assert not out.exists()

    prepare(MUSIC, params, RAW, prepared)
    validate(MUSIC, params, RAW, prepared, out)
    assert names(out) == REPORT
    assert not failed.exists()
