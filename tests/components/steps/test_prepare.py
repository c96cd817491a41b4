"""The step prepare lands whole or not at all."""

from pathlib import Path

import pytest

from components.config import DatasetParams
from components.datasets import find_dataset
from components.errors import UserError
from components.files import read_json
from components.params import load_dataset
from components.settings import project_root
from components.steps.prepare import prepare
from tests.music_data import RAW, raw_folder

MUSIC = find_dataset("music")


@pytest.fixture
def params() -> DatasetParams:
    return load_dataset(MUSIC, project_root() / "params.yaml").model_copy(update={"collections": ()})


def test_prepare_writes_tunes_vocabulary_and_report(params: DatasetParams, tmp_path: Path) -> None:
    report = prepare(MUSIC, params, RAW, tmp_path / "prepare")
    assert sorted(file.name for file in (tmp_path / "prepare").iterdir()) == [
        "report.json",
        "tunes.jsonl",
        "vocabulary.json",
    ]
    assert read_json(tmp_path / "prepare" / "report.json") == report


def test_a_bad_file_stops_prepare_and_leaves_what_was_there(params: DatasetParams, tmp_path: Path) -> None:
    out = tmp_path / "prepare"
    prepare(MUSIC, params, RAW, out)
    before = {file.name: file.read_bytes() for file in out.iterdir()}
    with pytest.raises(UserError, match=r"irish\.abc, line 1: the file is empty"):
        prepare(MUSIC, params, raw_folder(tmp_path / "raw", ""), out)
    assert {file.name: file.read_bytes() for file in out.iterdir()} == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["prepare", "raw"]
