"""The profile in use is one word of params.yaml."""

from pathlib import Path

import pytest

from components.errors import UserError
from components.sources.profile import profile_in_use, use_profile

PARAMS = Path(__file__).resolve().parents[3] / "params.yaml"

ODD = """\
# comment: folder: data
data: {folder: "data",   other: [1,2]}   # why
music:
    - a   # odd indent
    - 1e-3
folder: data
"""


@pytest.mark.parametrize("text", [PARAMS.read_text(encoding="utf-8"), ODD, "data:\r\n  folder: data # x\r\n"])
def test_changing_the_profile_changes_that_word_alone(tmp_path: Path, text: str) -> None:
    path = tmp_path / "params.yaml"
    path.write_bytes(text.encode())
    before = profile_in_use(path)

    use_profile(path, "starter")
    assert profile_in_use(path) == "starter"
    assert len([1 for a, b in zip(text.splitlines(), path.read_text().splitlines(), strict=True) if a != b]) == 1
    use_profile(path, before)

    assert path.read_bytes() == text.encode()


def test_a_profile_that_is_in_use_already_leaves_the_file_alone(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(ODD)
    path.chmod(0o444)
    stamp = path.stat().st_mtime_ns

    use_profile(path, "course")

    assert path.stat().st_mtime_ns == stamp


@pytest.mark.parametrize(
    "text",
    ["", "data:\n", "data: 3\n", "data: {}\n", "data: {folder: dat}\n", "a: [", "data: {folder: 7}\n", "- data\n"],
)
def test_params_without_a_profile_are_one_line(tmp_path: Path, text: str) -> None:
    (tmp_path / "params.yaml").write_text(text)

    with pytest.raises(UserError, match=r"data, data\.starter"):
        profile_in_use(tmp_path / "params.yaml")
