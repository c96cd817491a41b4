from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from components.bundle import Bundle
from components.config import LabParams
from components.errors import UserError
from components.labs import Inputs, find
from components.params import load
from components.steps.export import export
from tests.components.bundles import PROVENANCE

PROJECT = Path(__file__).resolve().parents[3]
MUSIC = find("music")


@pytest.fixture(scope="module")
def small() -> LabParams:
    params = load(MUSIC, PROJECT / "params.yaml")
    return params.model_copy(update={"train": params.train.model_copy(update={"hidden_size": 16, "embedding_size": 8})})


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def trained(project: Path, prepared_music: Path, small: LabParams) -> Path:
    """What the step train leaves, with untrained weights."""
    module = MUSIC.module(Inputs(prepared_music), small.train)
    (project / "train").mkdir()
    torch.save({"state_dict": module.state_dict()}, project / "train" / "model.ckpt")
    return project / "train"


def test_the_bundle_opens_says_where_it_comes_from_and_holds_the_parity_report(
    project: Path, prepared_music: Path, trained: Path, small: LabParams
) -> None:
    manifest = export(MUSIC, small, PROVENANCE, Inputs(prepared_music), trained, project / "export")
    bundle = Bundle.open(project / "export")
    assert bundle.digest == manifest.digest
    assert bundle.manifest.provenance == PROVENANCE
    assert "parity.json" in bundle.manifest.files
    assert set(bundle.manifest.graphs) == {"float_read", "float_sample", "int8_read", "int8_sample"}
    assert len(bundle.spec["vocabulary"]) == 83


def test_exporting_again_changes_no_byte_of_the_graphs(
    project: Path, prepared_music: Path, trained: Path, small: LabParams
) -> None:
    first, second = (
        export(MUSIC, small, PROVENANCE, Inputs(prepared_music), trained, project / name) for name in ("a", "b/c")
    )
    assert first.graphs == second.graphs
    assert first.digest == second.digest


def _remove(checkpoint: Path) -> None:
    checkpoint.unlink()


def _empty(checkpoint: Path) -> None:
    checkpoint.write_bytes(b"")


def _fill_with_text(checkpoint: Path) -> None:
    checkpoint.write_bytes(b"not a checkpoint at all")


def _cut_short(checkpoint: Path) -> None:
    checkpoint.write_bytes(checkpoint.read_bytes()[:-1000])


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (_remove, "is missing: run the step train first"),
        (_empty, "is not a checkpoint"),
        (_fill_with_text, "is not a checkpoint"),
        (_cut_short, "is not a checkpoint"),
    ],
)
def test_a_missing_or_damaged_checkpoint_is_one_line_and_the_old_bundle_stays(
    project: Path,
    prepared_music: Path,
    trained: Path,
    small: LabParams,
    damage: Callable[[Path], None],
    message: str,
) -> None:
    digest = export(MUSIC, small, PROVENANCE, Inputs(prepared_music), trained, project / "export").digest
    damage(trained / "model.ckpt")
    with pytest.raises(UserError, match=message) as error:
        export(MUSIC, small, PROVENANCE, Inputs(prepared_music), trained, project / "export")
    assert "\n" not in str(error.value)
    assert Bundle.open(project / "export").digest == digest


def test_a_checkpoint_of_other_parameters_is_refused(
    project: Path, prepared_music: Path, trained: Path, small: LabParams
) -> None:
    wider = small.model_copy(update={"train": small.train.model_copy(update={"hidden_size": 24})})
    with pytest.raises(UserError, match=r"does not fit the model of these parameters .*size mismatch"):
        export(MUSIC, wider, PROVENANCE, Inputs(prepared_music), trained, project / "export")


def test_a_checkpoint_that_would_run_code_is_refused(
    project: Path, prepared_music: Path, trained: Path, small: LabParams
) -> None:
    torch.save({"state_dict": {}, "run": _WouldRun()}, trained / "model.ckpt")
    with pytest.raises(UserError, match="is not a checkpoint"):
        export(MUSIC, small, PROVENANCE, Inputs(prepared_music), trained, project / "export")
    assert not (project / "ran").exists()


class _WouldRun:
    def __reduce__(self) -> tuple[object, ...]:
        return Path("ran").touch, ()
