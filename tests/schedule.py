"""How pytest-xdist shares the suite out: whole files, the long ones first, files of one costly fixture together.

Its own order is by number of tests, so that files of few long tests came last and one process waited for the other.
"""

from __future__ import annotations

from typing import Any

import pytest
from xdist.scheduler import LoadFileScheduling

TOGETHER = {"tests/pipelines/test_tasks.py": "tests/pipelines/test_local.py"}
"""Files that look at what one run of a whole pipeline left, which each process would make for itself."""
FOLDERS = (
    "tests/components/labs/faces",
    "tests/components/labs/music",
    "tests/components/labs/music/evaluation",
    "tests/serving/digits",
    "tests/serving/faces",
    "tests/serving/generation",
    "tests/serving/transfer",
)
"""Folders whose files share a trained model or a server of one, without the folders below them."""


class LongFilesFirst(LoadFileScheduling):  # type: ignore[misc]
    """Takes files in the order of the collection, which `slow_files_first` makes."""

    def _split_scope(self, nodeid: str) -> str:
        file: str = super()._split_scope(nodeid)
        folder = file.rpartition("/")[0]
        return folder.removesuffix("/evaluation") if folder in FOLDERS else TOGETHER.get(file, file)


def make(config: pytest.Config, log: Any) -> LongFilesFirst | None:
    """The scheduler of `--dist=loadfile`; others are xdist's own."""
    if config.getvalue("dist") != "loadfile":
        return None
    config.option.loadscopereorder = False
    return LongFilesFirst(config, log)


def slow_files_first(items: list[pytest.Item]) -> None:
    """Sorts in place: files with a test that is marked slow, then the others, each in their order."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)
