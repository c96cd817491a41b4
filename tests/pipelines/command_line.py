"""The command line in the test's own process: an interpreter of its own needs seconds to import Kubeflow's client."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from io import StringIO
from pathlib import Path

import pytest

from components.settings import settings
from pipelines.__main__ import main
from tests.pipelines.kubeflow import TOKEN

PROJECT = Path(__file__).resolve().parents[2]


def pipelines(*arguments: str, token: str = TOKEN) -> subprocess.CompletedProcess[str]:
    """What `python -m pipelines` does with these arguments in the project's folder: its exit code and what it says."""
    out, err = StringIO(), StringIO()
    code = 0
    with pytest.MonkeyPatch.context() as patch, _logging_restored():
        patch.chdir(PROJECT)
        patch.setenv("KUBEFLOW_TOKEN", token)
        patch.setattr(sys, "argv", ["pipelines", *arguments])
        patch.setattr(sys, "stdout", out)
        patch.setattr(sys, "stderr", err)
        settings.cache_clear()
        try:
            main()
        except SystemExit as ended:
            code = ended.code if isinstance(ended.code, int) else 0
        finally:
            settings.cache_clear()
    return subprocess.CompletedProcess(arguments, code, out.getvalue(), err.getvalue())


@contextmanager
def _logging_restored() -> Iterator[None]:
    """The command sets up logging for its whole process; pytest's own handlers come back after it."""
    root = logging.getLogger()
    handlers, levels = (
        root.handlers[:],
        {name: logging.getLogger(name).level for name in ("", "components", "pipelines")},
    )
    root.handlers[:] = []
    try:
        yield
    finally:
        root.handlers[:] = handlers
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)
