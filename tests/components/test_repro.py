"""What `repro` refuses before it runs anything."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from components.errors import UserError
from components.repro import repro
from components.settings import project_root
from tests.workspace import overlaid


def test_missing_weights_are_named_before_anything_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They were named by `train`, minutes later."""
    shutil.copy(project_root() / "params.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="data/smollm2 is missing: run `python -m components fetch chat`"):
        repro(("chat",))
    assert [path.name for path in tmp_path.iterdir()] == ["params.yaml"]


def test_memory_that_no_lab_could_do_with_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    overlaid(project_root() / "params.yaml", {"repro": {"free_memory": 0.0}}, tmp_path / "params.yaml")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"^params.yaml: repro.free_memory is 0.0: "):
        repro(("music",))
