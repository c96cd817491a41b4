"""The real digits, for tests: `make test` fetches MNIST, scikit-learn carries its own."""

import importlib.util
import shutil
import tempfile
from functools import cache
from pathlib import Path

from components.config import DatasetParams
from components.datasets.digits.prepare import prepare
from components.settings import project_root
from components.sources.catalogue import raw_folder

COURSE = project_root() / raw_folder("digits", "course")
STARTER = project_root() / raw_folder("digits", "starter")


@cache
def raw_folders() -> dict[str, Path]:
    """By source, mnist or uci, the folder of raw digits that holds it, of those that are here."""
    folders = {"mnist": COURSE} if (COURSE / "mnist").is_dir() else {}
    return {**folders, "uci": _starter()}


def prepared(folder: Path, limit: int, source: str = "uci") -> Path:
    """A slice, as the step prepare leaves it."""
    folder.mkdir(exist_ok=True, parents=True)
    prepare(raw_folders()[source], folder, DatasetParams(profile="course", limit=limit))
    return folder


def _starter() -> Path:
    """A folder of raw digits with the file that the installed scikit-learn carries."""
    if (STARTER / "uci").is_dir():
        return STARTER
    package = importlib.util.find_spec("sklearn")
    assert package is not None
    assert package.origin is not None
    folder = Path(tempfile.mkdtemp(prefix="starter-"))
    (folder / "uci").mkdir()
    shutil.copy(Path(package.origin).parent / "datasets/data/digits.csv.gz", folder / "uci")
    return folder
