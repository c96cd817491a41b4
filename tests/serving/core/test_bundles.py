"""An audited bundle is served with the audit that its promotion was decided on, whole, or not at all."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from components.config import Bound, Gate
from components.errors import UserError
from components.files import sha256_file, write_json
from components.promotion import decide
from components.records import Promotion, Verdict
from serving.core.bundles import open_bundle
from tests.components import bundles

TODAY = date(2026, 11, 21)


@pytest.fixture
def promoted(tmp_path: Path) -> Path:
    """A bundle with everything that was said of it, as promote registers it."""
    folder = tmp_path / "bundle"
    report = bundles.evaluate(bundles.write(folder), folder, bits_per_char=1.3)
    audit = bundles.audit(report, folder)
    gate = Gate(metrics={"bits_per_char": Bound(max=1.4)})
    decision = decide(report, None, gate, TODAY, audit.requirements)
    decision = decision.model_copy(update={"audit": sha256_file(folder / "audit.json")})
    write_json(folder / "decision.json", decision.model_dump(mode="json"))
    write_json(folder / "promotion.json", Promotion.of(decision).model_dump(mode="json"))
    return folder


def test_an_audited_bundle_is_served_with_its_audit(promoted: Path) -> None:
    with open_bundle(str(promoted), ("music",), allow_unpromoted=False) as served:
        assert served.unpromoted == ""
        assert served.audit is not None
        assert served.audit.verdict is Verdict.PASS


@pytest.mark.parametrize("name", ["audit.json", "audit.html"])
@pytest.mark.parametrize("change", ["missing", "altered"])
def test_a_missing_or_altered_audit_is_refused_unless_told_by_name(promoted: Path, name: str, change: str) -> None:
    path = promoted / name
    if change == "missing":
        path.unlink()
    else:
        path.write_text(path.read_text().replace("PASS", "pass"))
    with (
        pytest.raises(UserError, match="its audit is missing, was changed"),
        open_bundle(str(promoted), ("music",), allow_unpromoted=False),
    ):
        pass
    with open_bundle(str(promoted), ("music",), allow_unpromoted=True) as served:
        assert served.audit is None
        assert "audit" in served.unpromoted


def test_an_audit_of_another_model_is_refused(promoted: Path, tmp_path: Path) -> None:
    other = bundles.evaluate(bundles.write(tmp_path / "other", weight=9.0), tmp_path / "other", bits_per_char=1.3)
    bundles.audit(other, promoted)
    with (
        pytest.raises(UserError, match="speaks of another model"),
        open_bundle(str(promoted), ("music",), allow_unpromoted=False),
    ):
        pass
