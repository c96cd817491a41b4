"""Where a bundle comes from: the commit, and the versions of data, parameters and code that decide what it holds."""

from __future__ import annotations

import ast
import hashlib
import shutil
import subprocess
from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict

from components.config import LabParams
from components.errors import UserError
from components.labs import find
from components.settings import settings

PACKAGE = Path(__file__).resolve().parent
MAKING_CODE = (
    "quantisation.py",
    "schedule.py",
    "steps/prepare.py",
    "steps/sharding.py",
    "steps/train.py",
    "steps/training_callbacks.py",
    "steps/export.py",
)
"""What makes the bundles of every lab."""
NOT_MAKING = ("runtime", "evaluate", "evaluation", "audit")
"""A lab's modules and folders that only run or judge a bundle."""


class Provenance(BaseModel):
    """Recorded in the bundle and in everything that is said of it. The commit is recorded, the rest is compared."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    git_commit: str
    git_dirty: bool
    data_version: str
    data_profile: str
    params_hash: str
    code_hash: str

    def differences(self, other: Provenance) -> list[str]:
        """Names of the compared fields in which both differ."""
        return [name for name in COMPARED if getattr(self, name) != getattr(other, name)]


COMPARED = ("data_version", "data_profile", "params_hash", "code_hash")


def provenance(lab: str, params: LabParams, root: Path = Path()) -> Provenance:
    """Provenance of what a step of `lab` makes now, in the project at `root`.

    Raises UserError when the data has no version.
    """
    commit, dirty = git_state(root)
    return Provenance(
        git_commit=commit,
        git_dirty=dirty,
        data_version=data_version(root / f"{params.data.folder}.dvc"),
        data_profile=params.data.profile,
        params_hash=hashlib.sha256(params.train.model_dump_json().encode()).hexdigest(),
        code_hash=code_hash(lab),
    )


def data_version(pin: Path) -> str:
    """The hash that DVC gave the data folder. Raises UserError naming the pin when it holds none."""
    try:
        version = yaml.safe_load(pin.read_text(encoding="utf-8"))["outs"][0]["md5"]
    except FileNotFoundError:
        raise UserError(
            f"{pin} is missing: the data has no version; git has it, or `python -m components accept-data` makes it"
        ) from None
    except (yaml.YAMLError, UnicodeDecodeError, KeyError, IndexError, TypeError):
        raise UserError(f"{pin} is not a DVC pin with an md5: restore it from git") from None
    return str(version)


def code_hash(lab: str) -> str:
    """Hash of the code that makes the bundle. Comments and layout don't count: a better comment trains no model."""
    files = [PACKAGE / name for name in MAKING_CODE]
    for own in (PACKAGE / "labs" / lab, *(PACKAGE / folder for folder in find(lab).shared)):
        found = own.rglob("*.py")
        files += [file for file in found if file.relative_to(own).with_suffix("").parts[0] not in NOT_MAKING]
    digest = hashlib.sha256()
    for file in sorted(file for file in files if file.exists()):
        code = ast.unparse(ast.parse(file.read_text(encoding="utf-8")))
        digest.update(f"{file.relative_to(PACKAGE).as_posix()}\0{code}\0".encode())
    return digest.hexdigest()


def git_state(root: Path) -> tuple[str, bool]:
    """The commit, and whether tracked files differ from it.

    Outside a repository what GIT_COMMIT says, as `<commit>` or `<commit>-dirty`; else ("unknown", True).
    """
    git = shutil.which("git")
    commit = _git(git, root, "rev-parse", "HEAD") if git else None
    if git is None or commit is None:
        told = settings().git_commit or "unknown"
        return told.removesuffix("-dirty"), told == "unknown" or told.endswith("-dirty")
    return commit, _git(git, root, "status", "--porcelain", "--untracked-files=no") != ""


def _git(git: str, root: Path, *arguments: str) -> str | None:
    done = subprocess.run([git, "-C", str(root), *arguments], capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else None
