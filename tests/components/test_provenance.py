"""What a bundle comes from is named by hashes that change when, and only when, that changes."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from components import provenance as module
from components.config import Bound, Data, Gate, LabParams, Section
from components.errors import UserError
from components.provenance import git_state, lab_code, provenance
from components.settings import settings
from components.sources.pin import dataset_version
from tests.components.bundles import PROVENANCE

PIN = "outs:\n- md5: 0123456789abcdef0123456789abcdef.dir\n  path: data\n"


class Train(Section):
    hidden_size: int


def params(hidden_size: int = 8, folder: str = "data", bound: float = 1.0) -> LabParams:
    return LabParams(
        data=Data.model_validate({"folder": folder}),
        train=Train(hidden_size=hidden_size),
        prepare=None,
        export=None,
        evaluate=None,
        gate=Gate(metrics={"bits_per_char": Bound(max=bound)}),
        serve=None,
    )


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A repository with both pins."""
    for name in ("data.dvc", "data.starter.dvc"):
        (tmp_path / name).write_text(PIN)
    _git(tmp_path, "init", "-q")
    _git(tmp_path, "add", ".")
    _git(tmp_path, "-c", "user.name=a", "-c", "user.email=a@localhost", "commit", "-qm", "pins")
    return tmp_path


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the code, to be changed."""
    copy = tmp_path / "components"
    shutil.copytree(module.PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(module, "PACKAGE", copy)
    return copy


def _git(folder: Path, *arguments: str) -> str:
    return subprocess.run(["git", "-C", str(folder), *arguments], check=True, capture_output=True, text=True).stdout


def test_a_bundle_names_commit_data_parameters_and_code(project: Path) -> None:
    found = provenance("music", params(), project)
    assert found.git_commit == _git(project, "rev-parse", "HEAD").strip()
    assert not found.git_dirty
    assert found.data_version == "0123456789abcdef0123456789abcdef.dir"
    assert found.data_profile == "course"
    assert provenance("music", params(folder="data.starter"), project).data_profile == "starter"


def test_only_the_models_own_parameters_change_their_hash(project: Path) -> None:
    first = provenance("music", params(), project).params_hash
    assert provenance("music", params(bound=2.0), project).params_hash == first
    assert provenance("music", params(hidden_size=9), project).params_hash != first


def test_a_changed_tracked_file_makes_it_dirty_and_an_untracked_one_does_not(project: Path) -> None:
    (project / "notes.txt").write_text("mine")
    assert git_state(project)[1] is False
    (project / "data.dvc").write_text(PIN + "# changed\n")
    assert git_state(project)[1] is True


def test_outside_a_repository_the_commit_is_unknown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert git_state(tmp_path) == ("unknown", True)
    monkeypatch.setenv("PATH", "")
    assert git_state(tmp_path) == ("unknown", True)


def test_a_comment_changes_no_code_hash_and_a_statement_does(package: Path) -> None:
    first = lab_code("music")
    model = package / "labs" / "music" / "model.py"
    model.write_text("# why\n" + model.read_text())
    assert lab_code("music") == first
    model.write_text(model.read_text() + "\nLIMIT = 1\n")
    assert lab_code("music") != first


@pytest.mark.parametrize("name", ["labs/music/data.py", "labs/music/new.py", "steps/train.py", "steps/export.py"])
def test_code_that_makes_the_bundle_counts(package: Path, name: str) -> None:
    first = lab_code("music")
    with (package / name).open("a") as file:
        file.write("\nLIMIT = 1\n")
    assert lab_code("music") != first


@pytest.mark.parametrize(
    "name",
    [
        "labs/music/runtime.py",
        "labs/music/evaluate.py",
        "labs/music/evaluation/judge.py",
        "steps/gate.py",
        "tracking.py",
    ],
)
def test_code_that_only_runs_or_judges_it_does_not(package: Path, name: str) -> None:
    first = lab_code("music")
    with (package / name).open("a") as file:
        file.write("\nLIMIT = 1\n")
    assert lab_code("music") == first


def test_code_that_a_lab_shares_counts_as_its_own(package: Path) -> None:
    labs = ("scratch", "digits", "music")
    first = [lab_code(lab) for lab in labs]
    for name in ("runtime.py", "evaluation/measures.py"):
        with (package / "datasets" / "digits" / name).open("a") as file:
            file.write("\nLIMIT = 1\n")
    assert [lab_code(lab) for lab in labs] == first
    with (package / "datasets" / "digits" / "batches.py").open("a") as file:
        file.write("\nLIMIT = 1\n")
    assert [lab_code(lab) != before for lab, before in zip(labs, first, strict=True)] == [True, True, False]


@pytest.mark.parametrize("content", [None, "", "outs: []", "outs:\n- path: data\n", "[", "\x00"])
def test_data_without_a_version_is_one_line_that_names_the_pin(tmp_path: Path, content: str | None) -> None:
    pin = tmp_path / "data.dvc"
    if content is not None:
        pin.write_text(content)
    with pytest.raises(UserError, match=r"data\.dvc") as raised:
        dataset_version(pin)
    assert "\n" not in str(raised.value)


def test_the_commit_is_recorded_and_not_compared() -> None:
    other = PROVENANCE.model_copy(update={"git_commit": "f" * 40, "git_dirty": True})
    assert PROVENANCE.differences(other) == []
    other = PROVENANCE.model_copy(update={"dataset_version": "x", "lab_code": "y"})
    assert PROVENANCE.differences(other) == ["dataset_version", "lab_code"]


def test_code_that_only_audits_is_not_code_that_makes_a_bundle(package: Path) -> None:
    first = lab_code("faces")
    (package / "labs" / "faces" / "audit" / "verdict.py").write_text("anything = 1\n")
    assert lab_code("faces") == first
    (package / "labs" / "faces" / "layers.py").write_text("anything = 1\n")
    assert lab_code("faces") != first


def test_where_there_is_no_repository_the_image_says_its_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = {"abc123": ("abc123", False), "abc123-dirty": ("abc123", True), "unknown": ("unknown", True)}
    for told, found in expected.items():
        monkeypatch.setenv("GIT_COMMIT", told)
        settings.cache_clear()
        assert git_state(tmp_path) == found
    monkeypatch.undo()
    settings.cache_clear()
    assert git_state(tmp_path) == ("unknown", True)
