"""Choosing files by their names."""

from pathlib import PurePosixPath


def matches(name: str, include: tuple[str, ...], exclude: tuple[str, ...] = ()) -> bool:
    """Whether a pattern of `include` and none of `exclude` fits the whole path. `*` and `?` do not cross a slash."""
    path = PurePosixPath(name)
    return any(_fits(path, pattern) for pattern in include) and not any(_fits(path, pattern) for pattern in exclude)


def _fits(path: PurePosixPath, pattern: str) -> bool:
    # PurePath.match goes part by part but from the right, so that the number of parts has to agree as well.
    return pattern.count("/") + 1 == len(path.parts) and path.match(pattern)
