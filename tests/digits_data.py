"""The real digits, for tests: `make test` fetches MNIST, scikit-learn carries its own."""

import importlib.util
import shutil
import tempfile
from functools import cache
from pathlib import Path

from components.config import DatasetParams
from components.datasets.digits.prepare import prepare
from components.settings import project_root


@cache
def raw_folders() -> dict[str, Path]:
    """By dataset, a data folder that holds it, of those that are here."""
    folders = {"mnist": project_root() / "data"} if (project_root() / "data" / "mnist").is_dir() else {}
    return {**folders, "uci": _starter()}


def prepared(folder: Path, limit: int, dataset: str = "uci") -> Path:
    """A slice, as the step prepare leaves it."""
    folder.mkdir(exist_ok=True, parents=True)
    prepare(raw_folders()[dataset], folder, DatasetParams(limit=limit))
    return folder


def _starter() -> Path:
    """A starter data folder with the file that the installed scikit-learn carries."""
    if (project_root() / "data.starter" / "digits").is_dir():
        return project_root() / "data.starter"
    package = importlib.util.find_spec("sklearn")
    assert package is not None
    assert package.origin is not None
    folder = Path(tempfile.mkdtemp(prefix="starter-"))
    (folder / "digits").mkdir()
    shutil.copy(Path(package.origin).parent / "datasets/data/digits.csv.gz", folder / "digits")
    return folder
