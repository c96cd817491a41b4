"""The profile in use of a dataset is one word of params.yaml."""

from pathlib import Path

import pytest

from components.datasets import DATASETS
from components.errors import UserError
from components.settings import project_root
from components.sources.profile import profile_in_use, use_profile

PARAMS = project_root() / "params.yaml"

ODD = """\
# comment: profile: course
datasets: {faces: {profile: course}, music: {limit: 0, profile: "course",   other: [1,2]}}   # why
music:
    - a   # odd indent
    - 1e-3
profile: course
"""
WINDOWS = "datasets:\r\n  music:\r\n    profile: course # x\r\n  faces: {profile: course}\r\n"


@pytest.mark.parametrize("text", [PARAMS.read_text(encoding="utf-8"), ODD, WINDOWS])
def test_changing_the_profile_of_a_dataset_changes_that_word_alone(tmp_path: Path, text: str) -> None:
    path = tmp_path / "params.yaml"
    path.write_bytes(text.encode())
    before = profile_in_use(path, "music")

    use_profile(path, "music", "starter")
    assert profile_in_use(path, "music") == "starter"
    assert profile_in_use(path, "faces") == "course"
    assert len([1 for a, b in zip(text.splitlines(), path.read_text().splitlines(), strict=True) if a != b]) == 1
    use_profile(path, "music", before)

    assert path.read_bytes() == text.encode()


@pytest.mark.parametrize("dataset", DATASETS)
def test_every_dataset_has_a_profile_of_its_own(tmp_path: Path, dataset: str) -> None:
    path = tmp_path / "params.yaml"
    path.write_bytes(PARAMS.read_bytes())
    before = {name: profile_in_use(path, name) for name in DATASETS}

    use_profile(path, dataset, "starter")

    assert {name: profile_in_use(path, name) for name in DATASETS} == before | {dataset: "starter"}


def test_a_profile_that_is_in_use_already_leaves_the_file_alone(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(ODD)
    path.chmod(0o444)
    stamp = path.stat().st_mtime_ns

    use_profile(path, "music", "course")

    assert path.stat().st_mtime_ns == stamp


@pytest.mark.parametrize(
    "text",
    [
        "",
        "datasets:\n",
        "datasets: 3\n",
        "datasets: {}\n",
        "datasets: {music: {}}\n",
        "datasets: {music: {profile: cours}}\n",
        "datasets: {faces: {profile: course}}\n",
        "a: [",
        "datasets: {music: {profile: 7}}\n",
        "- datasets\n",
    ],
)
def test_params_without_a_profile_are_one_line(tmp_path: Path, text: str) -> None:
    (tmp_path / "params.yaml").write_text(text)

    with pytest.raises(UserError, match=r"datasets\.music\.profile.*course, starter") as error:
        profile_in_use(tmp_path / "params.yaml", "music")

    assert "\n" not in str(error.value)
