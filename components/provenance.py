"""Where a bundle comes from: the commit, and the versions of data, parameters and code that decide what it holds."""

from __future__ import annotations

import ast
import hashlib
import re
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from components.config import DatasetParams, LabParams
from components.records import Provenance
from components.settings import settings
from components.sources.pin import dataset_version

if TYPE_CHECKING:
    from components.datasets import Dataset
    from components.labs import Lab

PACKAGE = Path(__file__).resolve().parent

PARTS = {
    "train": ("training", "model"),
    "export": ("training", "model", "export", "runtime"),
    "evaluate": ("evaluation", "runtime", "features"),
    "audit": ("audit", "runtime"),
    "gate": (),
    "promote": (),
}
"""Folders and modules of a lab or a family whose code a step runs, by their names without `.py`."""
COUNTED = "drift.py"
"""What a lab's `features` are counted with, below components/: a lab without them does not run it."""
DECLARED = {"train": ("monitor",), "evaluate": ("headline", "held_out"), "audit": ("headline",)}
"""Attributes of a lab that decide what a step writes, where the lab has them."""
CONTRACT = ("__init__", "lab")
"""Modules of a lab or a family that hold its class."""
FAMILY = re.compile(r"components\.families\.(\w+)")
DATASET = re.compile(r"components\.datasets\.(\w+)")
METHODS = {"train": ("module", "data"), "export": ("module", "export"), "evaluate": ("evaluate",), "audit": ("audit",)}
"""Methods of a lab that a step calls. Methods of other names count for every step."""
SHARED = {
    "prepare": ("steps/prepare.py", "sources/archive.py"),
    "validate": ("steps/validate.py", "datasets/validation.py", "report/validation_page.py", "report/page.py"),
    "train": ("training", "stats.py"),
    "export": ("steps/export.py", "onnx", "bundle.py", "training/finite.py", "report/pictures.py"),
    "evaluate": ("steps/evaluate.py", "onnx", "report", "bundle.py", "stats.py"),
    "audit": ("steps/audit.py", "onnx", "report", "bundle.py", "stats.py"),
    "gate": ("steps/gate.py", "promotion.py"),
    "promote": ("steps/promote.py", "steps/gate.py", "promotion.py", "promoted.py", "signing.py", "tracking/alias.py"),
}
"""What a step runs for every lab or dataset, below components/."""
DATASET_MODULES = {"train": "*reader.py", "export": "*.py", "evaluate": "*.py", "audit": "*.py"}
"""A dataset's modules whose code a lab's step runs: training only reads, evaluation may parse and check, too."""
DATASET_TABLES = "*.csv"
"""What a dataset's modules read that lies beside them."""


def provenance(lab: Lab, params: LabParams, dataset: DatasetParams, root: Path = Path()) -> Provenance:
    """Provenance of what a step of `lab` makes now, in the project at `root`.

    Raises UserError when the data has no version.
    """
    commit, dirty = git_state(root)
    return Provenance(
        git_commit=commit,
        git_dirty=dirty,
        data_version="+".join([dataset_version(root, lab.dataset, dataset.profile), *weights_versions(lab, root)]),
        data_profile=dataset.profile,
        params_hash=hashlib.sha256(params.train.model_dump_json().encode()).hexdigest(),
        code_hash=_hash(
            [*_lab_files(lab, "train"), *_lab_files(lab, "export"), *_dataset_files(lab.dataset, "prepare")]
        ),
    )


def weights_versions(lab: Lab, root: Path) -> list[str]:
    """Versions of the pretrained weights that a lab starts from. Raises UserError where data.dvc has none."""
    return [dataset_version(root, name, "course") for name in lab.pretrained]


def dataset_code(dataset: Dataset, step: str) -> str:
    """Hash of the code that a step runs on a dataset. Comments and layout don't count."""
    return _hash(_dataset_files(dataset.name, step))


def lab_code(lab: Lab, step: str) -> str:
    """Hash of the code that a step runs on a lab. Comments and layout don't count: a better comment trains no model.

    The folders say what counts: `PARTS` of the lab and of each family that these import, and `DATASET_MODULES`; then
    what the lab declares, `DECLARED`, and what the step runs for every lab. Docstrings don't count either.
    """
    return _hash(_lab_files(lab, step))


def git_state(root: Path) -> tuple[str, bool]:
    """The commit, and whether tracked files differ from it, beside dvc.lock, which says what was made.

    Outside a repository what GIT_COMMIT says, as `<commit>` or `<commit>-dirty`; else ("unknown", True).
    """
    git = shutil.which("git")
    commit = _git(git, root, "rev-parse", "HEAD") if git else None
    if git is None or commit is None:
        told = settings().git_commit or "unknown"
        return told.removesuffix("-dirty"), told == "unknown" or told.endswith("-dirty")
    changes = _git(git, root, "status", "--porcelain", "--untracked-files=no", "--", ":/", ":(exclude)dvc.lock")
    return commit, changes != ""


def _lab_files(lab: Lab, step: str) -> Iterator[tuple[str, str]]:
    own = PACKAGE / "labs" / lab.name
    families = set(FAMILY.findall("".join(path.read_text(encoding="utf-8") for path in _modules(own, step))))
    for folder in (own, *(PACKAGE / "families" / name for name in families)):
        for path in _modules(folder, step):
            yield _code(path, step if path.parent == folder and path.stem in CONTRACT else None)
            if path.stem == "features":
                yield _code(PACKAGE / COUNTED)
    for name in DECLARED.get(step, ()):
        yield f"{lab.name}.{name}", repr(getattr(lab, name, None))
    if step in DATASET_MODULES:
        for folder in _dataset_folders(lab.dataset):
            for path in sorted(folder.glob(DATASET_MODULES[step])):
                yield _code(path)
            for path in sorted(folder.glob(DATASET_TABLES)):
                yield path.relative_to(PACKAGE).as_posix(), path.read_text(encoding="utf-8")
    yield from _shared(step)


def _modules(folder: Path, step: str) -> list[Path]:
    """Modules of a lab or a family that a step runs."""
    parts = (*PARTS[step], *CONTRACT)
    return [path for path in sorted(folder.rglob("*.py")) if path.relative_to(folder).with_suffix("").parts[0] in parts]


def _dataset_files(dataset: str, step: str) -> Iterator[tuple[str, str]]:
    for folder in _dataset_folders(dataset):
        for path in sorted(folder.rglob("*.py")):
            if step == "validate" or path.name != "tables.py":
                yield _code(path)
        if step == "validate":
            for path in sorted(folder.glob("expectations/*.json")):
                yield path.relative_to(PACKAGE).as_posix(), path.read_text(encoding="utf-8")
    yield from _shared(step)


def _dataset_folders(dataset: str) -> list[Path]:
    """A dataset's folder, and those of what datasets of its kind share, which it imports."""
    root = PACKAGE / "datasets"
    text = "".join(path.read_text(encoding="utf-8") for path in sorted((root / dataset).rglob("*.py")))
    shared = sorted(set(DATASET.findall(text)) - {dataset})
    return [root / dataset, *(root / name for name in shared if (root / name).is_dir())]


def _shared(step: str) -> Iterator[tuple[str, str]]:
    for name in SHARED[step]:
        path = PACKAGE / name
        for file in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
            yield _code(file)


def _code(path: Path, step: str | None = None) -> tuple[str, str]:
    """Name and code of a file, without comments and layout; of a lab's contract only the methods that `step` calls."""
    return path.relative_to(PACKAGE).as_posix(), _stripped(path.read_text(encoding="utf-8"), step)


@cache
def _stripped(text: str, step: str | None) -> str:
    tree = ast.parse(text)
    if step is not None:
        methods = [node for kind in tree.body if isinstance(kind, ast.ClassDef) for node in kind.body]
        tree = ast.Module(body=[node for node in methods if _counts(node, step)], type_ignores=[])
    for node in ast.walk(tree):
        _drop_docstring(node)
    return ast.unparse(tree)


def _counts(node: ast.stmt, step: str) -> bool:
    """Whether a part of a lab's class is a method that a step calls, or one that no step is known to call."""
    if not isinstance(node, ast.FunctionDef):
        return False
    return node.name in METHODS.get(step, ()) or not any(node.name in names for names in METHODS.values())


def _drop_docstring(node: ast.AST) -> None:
    if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and ast.get_docstring(node):
        node.body = node.body[1:] or ([] if isinstance(node, ast.Module) else [ast.Pass()])


def _hash(code: Iterable[tuple[str, str]]) -> str:
    digest = hashlib.sha256()
    for name, text in sorted(set(code)):
        digest.update(f"{name}\0{text}\0".encode())
    return digest.hexdigest()


def _git(git: str | None, root: Path, *arguments: str) -> str | None:
    done = subprocess.run([str(git), "-C", str(root), *arguments], capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else None
