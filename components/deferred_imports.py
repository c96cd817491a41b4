"""Imports a library without what it imports and a step does not use."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from importlib.metadata import Distribution, DistributionFinder, PackageNotFoundError
from importlib.util import LazyLoader
from types import ModuleType


@contextmanager
def deferred(later: Sequence[str] = (), absent: Sequence[str] = ()) -> Iterator[None]:
    """While it lasts, modules named in `later` are loaded when something of them is first used, and `absent` ones, with
    what is below them, cannot be imported and have no version: a library then takes them for optional packages that are
    not installed.

    Modules that are loaded already stay as they are, and afterwards everything can be imported as always.
    """
    finder = _Finder(frozenset(later), tuple(absent))
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)


@contextmanager
def without_garbage_collection() -> Iterator[None]:
    """For imports of large libraries: what they make stays, and looking through it again and again takes a quarter of
    their time. Afterwards collections pass over all that there is by then."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if was_enabled:
            gc.enable()


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

    def find_distributions(self, context: DistributionFinder.Context) -> Iterable[Distribution]:
        """Called by importlib.metadata, which asks the next finder where this one finds nothing."""
        if context.name in self._absent:
            raise PackageNotFoundError(context.name)
        return ()
