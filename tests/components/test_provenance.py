"""What a bundle comes from, and what a step stands on, has hashes that change when, and only when, that changes."""

from __future__ import annotations

import ast
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from components import provenance as module
from components.config import Bound, DatasetParams, Gate, LabParams
from components.datasets import DATASETS, find_dataset
from components.errors import UserError
from components.labs import LABS, Monitor, find
from components.params import load, load_dataset
from components.provenance import PARTS, dataset_code, git_state, lab_code, provenance
from components.settings import project_root, settings
from components.sources.pin import PIN, accept_data, dataset_version
from components.steps.versions import write_versions
from tests.components.bundles import PROVENANCE

PARAMS = project_root() / "params.yaml"
MUSIC = find("music")
DATA = DatasetParams(profile="course", limit=0)
TRAINED = tuple((name, "train") for name in LABS)


def params(hidden_size: int = 8, bound: float = 1.0, body_bytes: int = 65536) -> LabParams:
    found = load(MUSIC, PARAMS)
    assert found.serve is not None
    return found.model_copy(
        update={
            "train": found.train.model_copy(update={"hidden_size": hidden_size}),
            "gate": Gate(metrics={"bits_per_char": Bound(max=bound)}),
            "serve": found.serve.model_copy(update={"body_bytes": body_bytes}),
        }
    )


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A repository with raw data of two datasets and of one's starter profile, pinned."""
    for folder in ("data/music", "data/digits", "data/starter/digits"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "file").write_text(folder)
    accept_data(tmp_path, "music", "course")
    accept_data(tmp_path, "digits", "course")
    accept_data(tmp_path, "digits", "starter")
    (tmp_path / "dvc.lock").touch()
    _git(tmp_path, "init", "-q")
    _git(tmp_path, "add", PIN, "dvc.lock")
    _git(tmp_path, "-c", "user.name=a", "-c", "user.email=a@localhost", "commit", "-qm", "pin")
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


def hashes() -> dict[tuple[str, str], str]:
    """Hashes of the code of every step of every lab and dataset."""
    of_labs = {(name, step): lab_code(find(name), step) for name in LABS for step in PARTS}
    steps = ("prepare", "validate")
    return of_labs | {
        (f"data {name}", step): dataset_code(find_dataset(name), step) for name in DATASETS for step in steps
    }


def changed(before: dict[tuple[str, str], str]) -> set[tuple[str, str]]:
    now = hashes()
    return {key for key in before if now[key] != before[key]}


def edit(path: Path, text: str = "\nLIMIT = 1\n") -> None:
    with path.open("a") as file:
        file.write(text)


# --- provenance


def test_a_bundle_names_commit_data_parameters_and_code(project: Path) -> None:
    found = provenance(MUSIC, params(), DATA, project)
    assert found.git_commit == _git(project, "rev-parse", "HEAD").strip()
    assert not found.git_dirty
    assert found.data_version == dataset_version(project, "music", "course")
    assert found.data_profile == "course"
    digits = find("digits")
    course, starter = (
        provenance(digits, load(digits, PARAMS), DATA.model_copy(update={"profile": profile}), project)
        for profile in ("course", "starter")
    )
    assert (course.data_profile, starter.data_profile) == ("course", "starter")
    assert len({found.data_version, course.data_version, starter.data_version}) == 3


def test_only_the_models_own_parameters_change_their_hash(project: Path) -> None:
    first = provenance(MUSIC, params(), DATA, project)
    assert provenance(MUSIC, params(bound=2.0), DATA, project) == first
    assert provenance(MUSIC, params(body_bytes=1024), DATA, project) == first, "a limit of HTTP makes no other model"
    assert provenance(MUSIC, params(hidden_size=9), DATA, project).params_hash != first.params_hash


def test_new_data_of_one_dataset_changes_the_provenance_of_its_labs_alone(project: Path) -> None:
    def made_from(name: str) -> object:
        lab = find(name)
        return provenance(lab, load(lab, PARAMS), load_dataset(find_dataset(lab.dataset), PARAMS), project).model_copy(
            update={"git_dirty": False}
        )

    on_music, on_digits = ("music",), ("digits", "mlp", "digit_generation")
    before = {name: made_from(name) for name in (*on_music, *on_digits)}
    (project / "data" / "digits" / "more").write_text("a new file")
    (project / "data" / "digits" / "file").write_text("changed")
    assert {name: made_from(name) for name in before} == before, "a version is new once it was accepted"
    accept_data(project, "digits", "course")
    assert {name for name in before if made_from(name) != before[name]} == set(on_digits)


@pytest.mark.parametrize("content", [None, "", "outs: []", "outs:\n- path: data/music\n", "[", "\x00"])
def test_data_without_a_version_is_one_line_that_names_the_pin(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / PIN).write_text(content)
    with pytest.raises(UserError, match=r"data\.dvc") as raised:
        dataset_version(tmp_path, "music", "course")
    assert "\n" not in str(raised.value)


def test_the_commit_is_recorded_and_not_compared() -> None:
    other = PROVENANCE.model_copy(update={"git_commit": "f" * 40, "git_dirty": True})
    assert PROVENANCE.differences(other) == []
    other = PROVENANCE.model_copy(update={"data_version": "x", "code_hash": "y"})
    assert PROVENANCE.differences(other) == ["data_version", "code_hash"]


# --- the commit


def test_a_changed_tracked_file_makes_it_dirty_and_an_untracked_one_does_not(project: Path) -> None:
    (project / "notes.txt").write_text("mine")
    assert git_state(project)[1] is False
    edit(project / "dvc.lock", "# changed\n")
    assert git_state(project)[1] is False, "it says what was made, not what of"
    edit(project / PIN, "# changed\n")
    assert git_state(project)[1] is True


def test_outside_a_repository_the_commit_is_unknown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert git_state(tmp_path) == ("unknown", True)
    monkeypatch.setenv("PATH", "")
    assert git_state(tmp_path) == ("unknown", True)


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


# --- the code of a step


def test_a_comment_or_docstring_changes_no_code_hash(package: Path) -> None:
    before = hashes()
    for path in package.rglob("*.py"):
        text = path.read_text()
        start = 0 if not text.startswith('"""') else text.index('"""', 3) + 3
        path.write_text(f'"""Says something else."""\n# why\n{text[start:]}\n# the end\n')
    assert changed(before) == set()
    model = package / "labs/music/training/model.py"
    tree = ast.parse(model.read_text())
    documented = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and ast.get_docstring(node)]
    lines = model.read_text().splitlines()
    lines[documented[0].body[0].lineno - 1] = lines[documented[0].body[0].lineno - 1].replace('"""', '"""Truly. ', 1)
    model.write_text("\n".join(lines))
    assert "Truly. " in model.read_text()
    assert changed(before) == set()


@pytest.mark.parametrize(
    "folder",
    [
        *("labs/*/evaluation*", "labs/*/runtime*", "labs/*/features*", "labs/*/audit"),
        *("families/*/evaluation*", "families/*/runtime*", "families/*/features*", "drift.py"),
    ],
)
def test_code_that_runs_or_judges_a_model_trains_none(package: Path, folder: str) -> None:
    before = hashes()
    files = [file for found in package.glob(folder) for file in ([found] if found.is_file() else found.rglob("*.py"))]
    assert files
    for file in files:
        edit(file)
    found = changed(before)
    assert found.isdisjoint(TRAINED)
    assert found


@pytest.mark.parametrize(
    "name",
    [
        "steps/gate.py",
        "steps/evaluate.py",
        "promotion.py",
        "tracking/runs.py",
        "report/validation_page.py",
        "bundle.py",
        "datasets/digits/tables.py",
        "datasets/digits/raw.py",
        "datasets/digits/prepare.py",
        "labs/music/params.py",
    ],
)
def test_code_around_a_model_trains_none(package: Path, name: str) -> None:
    before = hashes()
    edit(package / name)
    assert changed(before).isdisjoint(TRAINED)


@pytest.mark.parametrize(
    ("name", "labs"),
    [
        ("labs/music/training/model.py", {"music"}),
        ("labs/music/training/new.py", {"music"}),
        ("labs/digits/model.py", {"digits"}),
        ("labs/faces/training/batches.py", {"faces"}),
        ("families/classification/training/batches.py", {"digits", "mlp"}),
        ("families/generation/training/vae.py", {"digit_generation", "face_generation"}),
        ("datasets/music/reader.py", {"music"}),
        ("datasets/digits/reader.py", {"digits", "mlp", "digit_generation"}),
        ("datasets/faces/category_reader.py", {"faces", "face_generation", "transfer"}),
        ("datasets/faces/animal_heads.csv", {"faces", "face_generation", "transfer"}),
        ("training/trainer.py", set(LABS)),
    ],
)
def test_code_that_decides_weights_trains_its_labs_again_and_no_other(package: Path, name: str, labs: set[str]) -> None:
    before = hashes()
    edit(package / name)
    assert {lab for lab, step in changed(before) if step == "train"} == labs


METHODS = [
    ("labs/music/__init__.py", "module", {"music"}),
    ("labs/music/__init__.py", "data", {"music"}),
    ("families/classification/lab.py", "data", {"digits", "mlp"}),
    ("labs/faces/__init__.py", "export", set()),
    ("labs/faces/__init__.py", "evaluate", set()),
    ("labs/faces/__init__.py", "audit", set()),
    ("families/classification/lab.py", "evaluate", set()),
]


@pytest.mark.parametrize(("name", "method", "labs"), METHODS)
def test_of_a_labs_class_the_methods_that_training_calls_train_again(
    package: Path, name: str, method: str, labs: set[str]
) -> None:
    before = hashes()
    text = (package / name).read_text()
    start = text.index(":\n", text.index(f"    def {method}(")) + 2
    (package / name).write_text(f"{text[:start]}        print('more')\n{text[start:]}")
    found = changed(before)
    assert {lab for lab, step in found if step == "train"} == labs
    assert found, "the step that calls it stands on it"


def test_what_early_stopping_follows_decides_weights_and_gate_metrics_do_not(monkeypatch: pytest.MonkeyPatch) -> None:
    before = hashes()
    kind = type(find("faces"))
    monkeypatch.setattr(kind, "gate_metrics", ("recall",))
    assert changed(before) == set()
    monkeypatch.setattr(kind, "headline", ("recall",))
    assert changed(before) == {("faces", "evaluate"), ("faces", "audit")}
    monkeypatch.setattr(kind, "headline", find("faces").headline[:0])
    monkeypatch.undo()
    monkeypatch.setattr(kind, "monitor", Monitor("val_loss", "max"))
    assert changed(before) == {("faces", "train")}


def test_expectations_are_what_validate_alone_stands_on(package: Path) -> None:
    before = hashes()
    suite = package / "datasets/music/expectations/prepared.json"
    content = json.loads(suite.read_text())
    suite.write_text(json.dumps({**content, "expectations": content["expectations"][1:]}))
    assert changed(before) == {("data music", "validate")}


def test_the_code_that_prepares_a_dataset_is_of_that_dataset(package: Path) -> None:
    before = hashes()
    edit(package / "datasets/faces/prepare.py")
    found = changed(before)
    assert {("data faces", "prepare"), ("data faces", "validate")} <= found
    assert {name for name, _ in found} <= {"data faces", *(name for name in LABS if find(name).dataset == "faces")}


def test_code_that_only_audits_makes_no_other_bundle(package: Path, project: Path) -> None:
    before, dataset = hashes(), load_dataset(find_dataset("digits"), PARAMS)
    digits = find("digits")
    first = provenance(digits, load(digits, PARAMS), dataset, project).code_hash
    edit(package / "labs/faces/audit/criteria.py")
    assert changed(before) == {("faces", "audit")}
    assert provenance(digits, load(digits, PARAMS), dataset, project).code_hash == first
    edit(package / "families/classification/evaluation/measures.py")
    assert provenance(digits, load(digits, PARAMS), dataset, project).code_hash == first
    edit(package / "labs/digits/model.py")
    assert provenance(digits, load(digits, PARAMS), dataset, project).code_hash != first


@pytest.mark.parametrize("name", LABS)
@pytest.mark.parametrize("step", ["train", "export", "evaluate", "audit"])
def test_a_step_stands_on_all_code_of_its_lab_and_dataset_that_it_imports(name: str, step: str) -> None:
    """Or a change of it would leave an old output in place. Training and export may not import what judges a model."""
    lab = find(name)
    if step == "audit" and not lab.audited:
        pytest.skip(f"{name} is not audited")
    counted = {file for file, _ in module._lab_files(lab, step) if file.endswith(".py")}
    below = ("labs/", "families/", f"datasets/{lab.dataset}/")
    judging = {"train": ("/runtime", "/evaluation", "/audit"), "export": ("/evaluation", "/audit")}.get(step, ())
    missing = {file for file in _imported(counted, judging) if file.startswith(below)} - counted
    assert missing == set()


def _imported(files: set[str], ignored: tuple[str, ...]) -> set[str]:
    """Modules of components that these files import, and those that these import.

    A lab's class says which steps call what, and its parameters are hashed by value: neither is followed.
    """
    not_followed = ("__init__.py", "/lab.py", "/params.py")
    seen, waiting = set(files), [file for file in files if not file.endswith(not_followed)]
    while waiting:
        for found in _imports(module.PACKAGE / waiting.pop()):
            if found not in seen and not found.endswith(not_followed) and not any(part in found for part in ignored):
                seen.add(found)
                waiting.append(found)
    return seen


def _imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("components."):
            for name in (node.module, *(f"{node.module}.{alias.name}" for alias in node.names)):
                file = module.PACKAGE.joinpath(*name.split(".")[1:]).with_suffix(".py")
                if file.is_file():
                    yield file.relative_to(module.PACKAGE).as_posix()


# --- the files that DVC's stages depend on


@pytest.fixture
def pinned(tmp_path: Path) -> Path:
    """A project with the committed pin."""
    shutil.copy(project_root() / PIN, tmp_path)
    return tmp_path


def stamps(out: Path) -> dict[str, int]:
    return {path.relative_to(out).as_posix(): path.stat().st_mtime_ns for path in out.rglob("*") if path.is_file()}


def touched(out: Path, before: dict[str, int]) -> set[str]:
    return {name for name, stamp in stamps(out).items() if before.get(name) != stamp}


def aged(out: Path) -> dict[str, int]:
    """Sets every file's time back, so that one that is written again shows."""
    for path in out.rglob("*"):
        os.utime(path, (1, 1))
    return stamps(out)


def test_every_step_of_every_dataset_and_lab_has_a_file_and_one_whose_line_is_the_same_is_left_alone(
    pinned: Path, package: Path
) -> None:
    out = pinned / "versions"
    write_versions(PARAMS, out, pinned)
    steps = {f"{name}/{step}" for name in LABS for step in PARTS if step != "audit" or find(name).audited}
    before = aged(out)
    assert before.keys() == steps | {f"{name}/{step}" for name in DATASETS for step in ("prepare", "validate")}
    write_versions(PARAMS, out, pinned)
    assert touched(out, before) == set()
    edit(package / "labs/music/evaluation/report.py")
    write_versions(PARAMS, out, pinned)
    assert touched(out, before) == {"music/evaluate"}


def test_new_data_of_one_dataset_touches_its_own_files_alone(pinned: Path) -> None:
    out = pinned / "versions"
    write_versions(PARAMS, out, pinned)
    before = aged(out)
    (pinned / "data/digits").mkdir(parents=True)
    (pinned / "data/digits/new").write_text("a new file")
    accept_data(pinned, "digits", "course")
    write_versions(PARAMS, out, pinned)
    assert touched(out, before) == {"digits/prepare", "digits/validate"}


def test_a_dataset_without_an_entry_leaves_the_others_their_versions(pinned: Path) -> None:
    out = pinned / "versions"
    write_versions(PARAMS, out, pinned)
    before = aged(out)
    text = (pinned / PIN).read_text().replace("path: data/faces\n", "path: data/elsewhere\n")
    (pinned / PIN).write_text(text)
    write_versions(PARAMS, out, pinned)
    assert touched(out, before) == {"faces/prepare", "faces/validate"}
    assert (out / "faces/prepare").read_text().startswith("data unknown course code ")
