"""A mutant that no test notices is a survivor and is named; what was tried is tried again only if something changed."""

from __future__ import annotations

from pathlib import Path

import pytest

from components.errors import UserError
from infra.mutants import Guarded, Mutants, report, run

CODE = """from __future__ import annotations


def fits(size: int | None) -> bool:
    return size is not None and size <= 10
"""
WEAK = "from guarded import fits\n\n\ndef test_it() -> None:\n    assert fits(5)\n"
STRONG = f"{WEAK}    assert fits(10)\n    assert not fits(11)\n    assert not fits(None)\n"
MODULE = Guarded(path="guarded.py", tests=("test_guarded.py",))
CONFIG = Mutants(sample=0, seed=0, modules=(MODULE,))


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "tree"
    folder.mkdir()
    (folder / "guarded.py").write_text(CODE)
    monkeypatch.chdir(folder)
    return folder


@pytest.mark.slow
def test_survivors_are_named_until_a_test_notices_them(tree: Path, tmp_path: Path) -> None:
    (tree / "test_guarded.py").write_text(WEAK)
    run(MODULE, CONFIG, tmp_path, survivors=False)
    before = report(CONFIG, tmp_path)
    assert "`guarded.py:5`" in before
    assert "-    return size is not None and size <= 10" in before
    assert "100.0 %" not in before
    assert (tree / "guarded.py").read_text() == CODE, "the last mutant was taken back"
    (tree / "test_guarded.py").write_text(STRONG)
    run(MODULE, CONFIG, tmp_path, survivors=True)
    after = report(CONFIG, tmp_path)
    assert "| 100.0 % (" in after
    assert "`guarded.py:5`" not in after


@pytest.mark.slow
def test_what_was_tried_is_not_tried_again_unless_something_changed(
    tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tree / "test_guarded.py").write_text(STRONG)
    few = CONFIG.model_copy(update={"sample": 2})
    run(MODULE, few, tmp_path, survivors=False)
    assert "| `guarded.py` | 2 of " in report(few, tmp_path)
    (tree / "guarded.py").write_text(CODE.replace("10", "9"))
    with pytest.raises(UserError, match=r"test_guarded\.py fail without a mutant"):
        run(MODULE, few, tmp_path, survivors=False)
    (tree / "guarded.py").write_text(CODE)
    run(MODULE, few, tmp_path, survivors=False)
    done = report(few, tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr("infra.mutants.PYTEST", ("false",))  # no test is run again
        run(MODULE, few, tmp_path, survivors=False)
    assert report(few, tmp_path) == done
