"""What a library imports and a step does not use is loaded later or not at all."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest

from components.deferred_imports import deferred


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Three modules that write down when they are loaded: `library` imports the two others."""
    for name in ("heavy_module", "optional_module"):
        (tmp_path / f"{name}.py").write_text(
            f"import loaded_modules\nloaded_modules.names.append('{name}')\nvalue = 7\n"
        )
    (tmp_path / "loaded_modules.py").write_text("names = []\n")
    (tmp_path / "deferring_library.py").write_text(
        "import heavy_module\ntry:\n    import optional_module\nexcept ImportError:\n    optional_module = None\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    names = ("heavy_module", "optional_module", "loaded_modules", "deferring_library")
    yield tmp_path
    for name in names:
        sys.modules.pop(name, None)


def test_a_module_is_loaded_when_something_of_it_is_used(packages: Path) -> None:
    with deferred(later=["heavy_module"]):
        library = importlib.import_module("deferring_library")
    loaded = importlib.import_module("loaded_modules").names
    assert loaded == ["optional_module"]
    assert library.heavy_module.value == 7
    assert loaded == ["optional_module", "heavy_module"]


def test_an_absent_module_is_one_that_is_not_installed_until_the_block_ends(packages: Path) -> None:
    with deferred(absent=["optional_module"]):
        library = importlib.import_module("deferring_library")
    assert library.optional_module is None
    assert importlib.import_module("optional_module").value == 7


def test_an_absent_module_has_no_version_until_the_block_ends() -> None:
    with deferred(absent=["numpy"]):
        with pytest.raises(PackageNotFoundError):
            version("numpy")
        assert version("pytest")
    assert version("numpy")


def test_what_is_loaded_already_stays(packages: Path) -> None:
    before = importlib.import_module("optional_module")
    with deferred(absent=["optional_module"], later=["optional_module"]):
        assert importlib.import_module("deferring_library").optional_module is before


def test_a_failing_import_leaves_the_import_system_as_it_was(packages: Path) -> None:
    finders = list(sys.meta_path)
    with pytest.raises(ModuleNotFoundError, match="no_such_module"), deferred(later=["heavy_module"]):
        importlib.import_module("no_such_module")
    assert sys.meta_path == finders
