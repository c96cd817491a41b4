"""Imports a library without what it imports and a step does not use."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import LazyLoader
from types import ModuleType


@contextmanager
def deferred(later: Sequence[str] = (), absent: Sequence[str] = ()) -> Iterator[None]:
    """While it lasts, modules named in `later` are loaded when something of them is first used, and `absent` ones, with
    what is below them, cannot be imported: a library then takes them for optional packages that are not installed.

    Modules that are loaded already stay as they are, and afterwards everything can be imported as always.
    """
    finder = _Finder(frozenset(later), tuple(absent))
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)


class _Finder(MetaPathFinder):
    def __init__(self, later: frozenset[str], absent: tuple[str, ...]) -> None:
        self._later, self._absent = later, absent

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if any(fullname == name or fullname.startswith(f"{name}.") for name in self._absent):
            raise ModuleNotFoundError(f"{fullname} is left out here", name=fullname)
        if fullname not in self._later:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = LazyLoader(spec.loader)
        return spec
