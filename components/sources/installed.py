"""Datasets that are made of packages: whether the declared versions are installed, and the version they make."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version

from components.errors import UserError

SUFFIX = ".pkg"
"""What the version of such a dataset ends in, where that of a folder ends in `.dir`."""


def packages_version(packages: Mapping[str, str]) -> str:
    """The version of a dataset that is made of these packages: a hash of their names and versions."""
    text = json.dumps(dict(packages), sort_keys=True)
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest() + SUFFIX


def check_installed(dataset: str, packages: Mapping[str, str]) -> None:
    """Raises UserError for a package that is not installed, or in another version than the dataset's."""
    for name, wanted in packages.items():
        try:
            found = version(name)
        except PackageNotFoundError:
            raise UserError(f"{dataset} needs {name}, which is not installed: pip install '{name}=={wanted}'") from None
        if found != wanted:
            raise UserError(
                f"{dataset} is made of {name} {wanted}, and {found} is installed: pip install '{name}=={wanted}', or "
                f"declare {found} in components/sources/sources.toml, which makes another version of the dataset"
            )
