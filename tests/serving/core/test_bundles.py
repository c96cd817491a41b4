"""An audited bundle is served with the audit that its promotion was decided on, whole, or not at all."""

from __future__ import annotations

import json
import shutil
from datetime import date, timedelta
from pathlib import Path

import onnx
import pytest

from components.bundle import BundleSpec, write_bundle
from components.config import Bound, Gate, Waiver
from components.errors import UserError
from components.files import write_json
from components.promoted import read_served
from components.records import EvaluationReport, Verdict, read_record
from components.settings import settings
from components.signing import sign
from components.signing_keys import PRIVATE, make_key
from serving.core.bundles import open_bundle
from tests.components import bundles

TODAY = date(2026, 11, 21)


@pytest.fixture
def promoted(tmp_path: Path) -> Path:
    """A bundle with everything that was said of it, as promote registers it."""
    folder = tmp_path / "bundle"
    report = bundles.evaluate(bundles.write(folder), folder, bits_per_char=1.3)
    bundles.audit(report, folder)
    bundles.promoted(folder, report, Gate(metrics={"bits_per_char": Bound(max=1.4)}), TODAY)
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


def test_what_its_gate_blocked_is_not_promoted_though_somebody_signed_it(tmp_path: Path) -> None:
    folder = tmp_path / "bundle"
    report = bundles.evaluate(bundles.write(folder), folder, bits_per_char=1.5)
    bundles.promoted(folder, report, Gate(metrics={"bits_per_char": Bound(max=1.4)}), TODAY)
    sign(folder, Verdict.PASS)
    served = read_served(folder)
    assert served.unpromoted == "its gate said FAIL"
    assert served.decision
    assert (served.version, served.lab) == (served.bundle.digest[:12], "music")


@pytest.mark.parametrize("digest", ["0" * 64, "f" * 64])
@pytest.mark.parametrize("name", ["evaluation.json", "decision.json", "promotion.json"])
def test_a_record_of_another_model_does_not_count(promoted: Path, name: str, digest: str) -> None:
    record = json.loads((promoted / name).read_text())
    write_json(promoted / name, record | {"model_digest": digest})
    sign(promoted, Verdict.PASS)
    assert "must all speak of this very model" in read_served(promoted).unpromoted


def test_an_audit_of_another_model_is_refused(promoted: Path, tmp_path: Path) -> None:
    other = bundles.evaluate(bundles.write(tmp_path / "other", weight=9.0), tmp_path / "other", bits_per_char=1.3)
    bundles.audit(other, promoted)
    with (
        pytest.raises(UserError, match="speaks of another model"),
        open_bundle(str(promoted), ("music",), allow_unpromoted=False),
    ):
        pass


def refused(folder: Path, words: str) -> None:
    """It is not served unless told by name, and then it says so."""
    with (
        pytest.raises(UserError, match=words) as raised,
        open_bundle(str(folder), ("music",), allow_unpromoted=False),
    ):
        pass
    assert "\n" not in str(raised.value)


def test_a_byte_changed_in_any_file_stops_the_start(promoted: Path) -> None:
    """Graphs, manifest, and each record beside it; in the middle, where it is a digit or a letter as often as not."""
    names = sorted(path.name for path in promoted.iterdir())
    assert {"attestation.json", "audit.html", "audit.json", "bundle.json", "decision.json", "evaluation.json",
            "parity.json", "promotion.json", "step.onnx"} == {*names}  # fmt: skip
    for name in names:
        content = (promoted / name).read_bytes()
        for place in (0, len(content) // 3, len(content) // 2, len(content) - 1):
            changed = bytearray(content)
            changed[place] ^= 1
            (promoted / name).write_bytes(changed)
            refused(promoted, ".")
        (promoted / name).write_bytes(content)
    with open_bundle(str(promoted), ("music",), allow_unpromoted=False) as served:
        assert served.unpromoted == ""


def test_a_record_changed_so_that_it_can_still_be_read_stops_the_start(promoted: Path) -> None:
    """A threshold would change every answer, a date would serve for ever, a run would blame somebody else."""
    for name, field, value in (
        ("evaluation.json", "serve", {"threshold": 1e6}),
        ("evaluation.json", "metrics", {"bits_per_char": 0.1}),
        ("audit.json", "requirements", []),
        ("decision.json", "waived_until", "2999-01-01"),
        ("promotion.json", "mlflow_run", "f" * 32),
    ):
        original = (promoted / name).read_text()
        write_json(promoted / name, {**json.loads(original), field: value})
        refused(promoted, "is not promoted: .*(evaluation|audit|decision|promotion)")
        (promoted / name).write_text(original)


def test_a_file_that_was_added_or_taken_away_stops_the_start(promoted: Path) -> None:
    (promoted / "more.json").write_text("{}")
    refused(promoted, r"more\.json was added after the bundle was signed")
    (promoted / "more.json").unlink()
    (promoted / "promotion.json").unlink()
    refused(promoted, r"promotion\.json beside it must")


def test_a_bundle_that_a_stranger_made_whole_stops_the_start(
    promoted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Everything in it speaks of the same model and says PASS; only the key is not one that is trusted here."""
    make_key(tmp_path / "strangers")
    monkeypatch.setenv("SIGNING_KEY", str(tmp_path / "strangers" / PRIVATE))
    settings.cache_clear()
    sign(promoted, Verdict.PASS)
    refused(promoted, r"attestation\.json is not signed by a key that is trusted here")
    (promoted / "attestation.json").unlink()
    refused(promoted, r"is not signed: it has no attestation\.json")
    monkeypatch.undo()
    settings.cache_clear()
    with open_bundle(str(promoted), ("music",), allow_unpromoted=True) as served:
        assert "is not signed" in served.unpromoted


def test_one_promoted_bundle_does_not_lend_its_signature_to_another(promoted: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    report = bundles.evaluate(bundles.write(other, weight=9.0), other, bits_per_char=9.0)
    bundles.promoted(other, report, Gate(metrics={"bits_per_char": Bound(max=9.9)}), TODAY)
    shutil.copy(promoted / "attestation.json", other)
    refused(other, "was changed after it was signed|was signed and is missing")


def test_a_waiver_is_served_until_its_last_day(promoted: Path) -> None:
    waiver = Waiver(metric="bits_per_char", until=date(2020, 12, 31), reason="a new corpus", by="me")
    gate = Gate(metrics={"bits_per_char": Bound(max=1.2)}, waivers=(waiver,))
    report = read_record(promoted / "evaluation.json", EvaluationReport)
    decision = bundles.promoted(promoted, report, gate, date(2020, 1, 1))
    assert decision.verdict is Verdict.WAIVED
    assert read_served(promoted, waiver.until).unpromoted == ""
    assert read_served(promoted, waiver.until + timedelta(days=1)).unpromoted == "its waiver ran out on 2020-12-31"
    refused(promoted, "its waiver ran out on 2020-12-31")


def test_a_forged_bundle_whose_model_does_not_run_is_refused_in_one_line(tmp_path: Path) -> None:
    """Its hashes fit; that no key signed it is what --allow-unpromoted overlooks."""
    from serving.core.service import definition, load_backend

    onnx.save(bundles.model(bundles.graph()), tmp_path / "step.onnx")
    write_bundle(tmp_path, "digit_generation", BundleSpec({"step": tmp_path / "step.onnx"}, {}), bundles.PROVENANCE)
    with pytest.raises(UserError, match="is not promoted, and its model does not run: KeyError: ") as error:
        load_backend(definition("generation"), str(tmp_path), allow_unpromoted=True)
    assert str(error.value).isprintable()
