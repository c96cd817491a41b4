"""A disk of a few hundred kilobytes, to be filled: a tmpfs in a mount namespace of the command's own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

MOUNT = ("unshare", "--user", "--map-root-user", "--mount", "sh", "-c")
SCRIPT = 'mount -t tmpfs -o size="$1"k none "$2" && shift 2 && exec "$@"'


def run_on_small_disk(folder: Path, kilobytes: int, script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs a Python script while `folder` is a small disk; skips where the system lets nobody but root mount one."""
    mount = (*MOUNT, SCRIPT, "sh", str(kilobytes), str(folder))
    if subprocess.run([*mount, "true"], capture_output=True, check=False).returncode:
        pytest.skip("no mount namespace here: a disk that is really full is not tested")
    return subprocess.run(
        [*mount, sys.executable, "-c", script, *arguments],
        env={**os.environ, "PYTHONWARNINGS": "ignore"},
        capture_output=True,
        text=True,
        check=False,
    )
