"""The audit of a whole bundle, on prepared files: what it writes can be read by people and by programs."""

from __future__ import annotations

import csv
import io
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from components.bundle import Bundle, Candidate
from components.datasets.faces.animal_head_reader import boxes
from components.datasets.faces.reader import PHOTOGRAPHS, category_of
from components.errors import UserError
from components.labs.faces.audit.pictures import LEARNED
from components.labs.faces.audit.run import audit
from components.labs.faces.audit.schema import Details
from components.labs.faces.audit.table import COLUMNS, Table, read_table
from components.records import AuditFindings, EvaluationReport, Verdict
from components.sources.archive import write_tar
from tests.components import bundles
from tests.components.labs.faces.audit.made import params, scores, table
from tests.html_pages import loads

SIDE, SEEN = 12, 8
PARAMS = params(pictures=4, sweep=[0.01, 0.05])


def prepared(folder: Path, of: dict[str, Table]) -> Path:
    """Prepared splits whose middle pixels hold the logit that a `Reader` finds there; the margin is noise."""
    folder.mkdir(parents=True, exist_ok=True)
    for split, rows in of.items():
        columns = [getattr(rows, name) for name in COLUMNS]
        with (folder / f"{split}.csv").open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(COLUMNS)
            writer.writerows(
                [int(value) if isinstance(value, np.bool_) else value for value in row]
                for row in zip(*columns, strict=True)
            )
        logits = np.clip(np.round(scores(rows).logits * 10) + 128, 0, 255).astype(np.uint8)
        images = np.random.default_rng(0).integers(0, 256, (len(rows), SIDE, SIDE, 3), dtype=np.uint8)
        images[:, 2:10, 2:10] = logits[:, None, None, None]
        np.save(folder / f"{split}_images.npy", images)
    return folder


class Reader:
    """A detector that reads its logit off the picture, and misses those of the logit to which it is blind."""

    def __init__(self, blind: float = 99.0) -> None:
        self.blind = blind

    def logits(self, images: np.ndarray) -> np.ndarray:
        assert images.shape[1:] == (SEEN, SEEN, 3)
        assert images.dtype == np.uint8
        assert images.flags.c_contiguous
        logits = (images.mean((1, 2, 3)) - 128) / 10
        return np.where(np.abs(logits - self.blind) < 0.01, -1, logits).astype(np.float32)

    def means(self, images: np.ndarray) -> np.ndarray:
        return np.random.default_rng(len(images)).normal(size=(len(images), 5)).astype(np.float32)


def judged(folder: Path, encoder: bool = False, held_out: tuple[str, ...] = (), **serve: object) -> Candidate:
    """A bundle of faces; its graphs are never run, a `Reader` stands for them."""
    from components.bundle import BundleSpec, write_bundle

    folder.mkdir(parents=True)
    names = ["int8", "encoder"] if encoder else ["int8"]
    for name in names:
        (folder / f"{name}.onnx").write_bytes(bundles.model(bundles.graph()).SerializeToString())
    for name in LEARNED if encoder else ():
        Image.new("RGB", (SEEN, SEEN), "red").save(folder / f"{name}.png")
    spec = {"size": SEEN, "variants": ["int8"], "model": "dbvae" if encoder else "standard"}
    spec |= {"picture_size": SIDE, "held_out": list(held_out)}
    write_bundle(
        folder, "faces", BundleSpec({name: folder / f"{name}.onnx" for name in names}, spec), bundles.PROVENANCE
    )
    bundle = Bundle.open(folder)
    manifest = bundle.manifest
    report = EvaluationReport(
        lab="faces", model_digest=manifest.digest, provenance=manifest.provenance, metrics={}, serve=dict(serve)
    )
    return Candidate(bundle, report)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    few = {"White": 150, "Black": 150}
    return prepared(
        tmp_path_factory.mktemp("faces") / "prepare",
        {"train": table(few, photographs=5), "validation": table(few, seed=3), "audit": table()},
    )


@pytest.fixture(scope="module")
def audited(folder: Path) -> tuple[AuditFindings, Path, Candidate]:
    """The audit of a model with an encoder, beside a champion that finds a little less."""
    candidate = judged(folder.parent / "candidate", encoder=True, variant="int8", threshold=0.0)
    champion = judged(folder.parent / "champion", threshold=0.0)
    out = folder.parent / "audit"
    out.mkdir()

    def load(bundle: Bundle, variant: object) -> Reader:
        assert variant == ("int8" if bundle is candidate.bundle else None)
        return Reader() if bundle is candidate.bundle else Reader(blind=6.8)

    return audit(candidate, champion, folder, out, PARAMS, load), out, candidate


def test_the_metrics_that_others_rely_on_are_there(audited: tuple[AuditFindings, Path, Candidate]) -> None:
    findings = audited[0]
    names = {"worst_group_recall", "recall_gap", "calibration_error", "brier_score"}
    assert findings.metrics.keys() == names == findings.counts.keys()
    details = json.loads(json.dumps(findings.details))
    assert details["recall"]["value"] == pytest.approx(0.975, abs=0.001)
    assert details["negatives"]["all"]["value"] == pytest.approx(0.008)
    gated = [attribute for attribute in details["attributes"] if attribute["gated"]]
    rates = [group["recall"] for attribute in gated for group in attribute["groups"]]
    worst = min(rates, key=lambda rate: rate["value"])
    assert findings.metrics["worst_group_recall"] == worst["value"] < details["recall"]["value"]
    assert findings.counts["worst_group_recall"] == worst["of"]
    assert findings.metrics["recall_gap"] == max(attribute["gap"]["value"] for attribute in gated)
    assert findings.requirements[0].verdict is Verdict.PASS


def test_the_details_are_a_record_of_their_own_version(audited: tuple[AuditFindings, Path, Candidate]) -> None:
    details = Details.model_validate(json.loads(json.dumps(audited[0].details)))
    assert details.version == 1
    assert details.threshold == 0
    assert details.latent is not None
    assert list(details.latent.by_weight) == ["candidate", "champion"]
    assert len(details.paired) == 9


def test_the_report_stands_alone_and_says_the_verdict_first(audited: tuple[AuditFindings, Path, Candidate]) -> None:
    html = (audited[1] / "audit.html").read_text()
    assert [address for address in loads(html) if not address.startswith("data:image/")] == []
    assert "<script" not in html
    assert html.index('<div class="verdict PASS">') < html.index("<h2>")
    assert audited[2].bundle.digest in html
    assert "perceived" in html
    assert html.count('src="data:image/jpeg') == 8
    assert html.count("<svg") >= 6
    for word in ("nan", "None<", "inf "):
        assert word not in re.sub(r"data:[^\"]*", "", html)


def test_what_a_model_with_latent_features_has_learned_is_shown(
    audited: tuple[AuditFindings, Path, Candidate], folder: Path, tmp_path: Path
) -> None:
    html = (audited[1] / "audit.html").read_text()
    assert html.count('src="data:image/png') == len(LEARNED) == 3
    for caption in LEARNED.values():
        assert caption in html
    audit(judged(tmp_path / "plain", threshold=0.0), None, folder, tmp_path, PARAMS, lambda bundle, variant: Reader())
    assert "data:image/png" not in (tmp_path / "audit.html").read_text(), "a standard model has none"


def test_the_card_has_the_sections_of_its_paper_and_measured_values(
    audited: tuple[AuditFindings, Path, Candidate],
) -> None:
    card = (audited[1] / "card.md").read_text()
    assert re.findall(r"^## (.*)$", card, re.MULTILINE) == [
        "Model details",
        "Intended use",
        "Factors",
        "Metrics",
        "Evaluation data",
        "Training data",
        "Quantitative analyses",
        "Ethical considerations",
        "Caveats and recommendations",
    ]
    assert "Audit: **PASS**" in card
    assert audited[2].bundle.digest in card
    assert f"| recall | {audited[0].details['recall']['value']:.2%} |" in card


def test_heads_of_animals_are_counted_by_kind_and_told_to_readers(folder: Path, tmp_path: Path) -> None:
    names = [name for name in sorted(boxes("hand")) if category_of(name) in ("panda", "pigeon")]
    taken = [name for name in names if category_of(name) == "panda"][:3]
    pictures = []
    for name in names:
        content = io.BytesIO()
        Image.new("RGB", (400, 400), (148 if name in taken else 108,) * 3).save(content, "JPEG")
        pictures.append((name, content.getvalue()))
    splits = Path(shutil.copytree(folder, tmp_path / "prepare"))
    write_tar(splits / PHOTOGRAPHS, pictures)
    candidate = judged(tmp_path / "b", held_out=("panda", "pigeon"), threshold=0.0)
    findings = audit(candidate, None, splits, tmp_path, PARAMS, lambda bundle, variant: Reader())
    animals = Details.model_validate(json.loads(json.dumps(findings.details))).animals
    assert animals is not None
    assert (animals.all.count, animals.all.of) == (3, 47)
    assert {name: (rate.count, rate.of) for name, rate in animals.categories.items()} == {
        "panda": (3, 24),
        "pigeon": (0, 23),
    }
    assert animals.all.low < 3 / 47 < animals.all.high
    html, card = (tmp_path / "audit.html").read_text(), (tmp_path / "card.md").read_text()
    assert "Of 47 heads of animals" in html
    assert "3 of 24: 12.5 %" in html
    assert "takes 3 of 47" in card
    assert "panda 3 of 24, pigeon 0 of 23" in card


def test_every_picture_of_the_split_has_its_score_beside_its_labels(
    audited: tuple[AuditFindings, Path, Candidate], folder: Path
) -> None:
    with (audited[1] / "scores.csv").open() as file:
        rows = list(csv.DictReader(file))
    of = read_table(folder, "audit")
    assert [row["id"] for row in rows] == of.id.tolist()
    found = [row for row in rows if row["face"] == "1" and row["detected"] == "1"]
    assert len(found) / of.face.sum() == pytest.approx(audited[0].details["recall"]["value"])


def test_a_second_audit_is_the_same_to_the_byte(folder: Path, audited: tuple[AuditFindings, Path, Candidate]) -> None:
    outs = [folder.parent / name for name in ("once", "twice")]
    for out in outs:
        out.mkdir()
        audit(audited[2], None, folder, out, PARAMS, lambda bundle, variant: Reader())
    for path in outs[0].iterdir():
        assert path.read_bytes() == (outs[1] / path.name).read_bytes()
    assert "There is none to compare with" in (outs[0] / "audit.html").read_text()


def test_without_a_chosen_threshold_it_is_frozen_on_validation(folder: Path, tmp_path: Path) -> None:
    findings = audit(judged(tmp_path / "b"), None, folder, tmp_path, PARAMS, lambda bundle, variant: Reader())
    rate = findings.details["validation_false_positive_rate"]["value"]
    assert 0 < rate <= 0.01


def test_faces_that_nobody_labelled_make_a_report_that_is_insufficient(tmp_path: Path) -> None:
    """As the starter profile's are."""
    few = table({"": 100}, photographs=100, crops=1)
    nobody = Table(**{**few.__dict__, "gender": np.full(len(few), ""), "age": np.full(len(few), "")})
    splits = prepared(tmp_path / "prepare", dict.fromkeys(("train", "validation", "audit"), nobody))
    findings = audit(judged(tmp_path / "b"), None, splits, tmp_path, PARAMS, lambda bundle, variant: Reader())
    assert findings.requirements[0].verdict is Verdict.INSUFFICIENT
    assert "worst_group_recall" not in findings.metrics
    assert 'class="verdict INSUFFICIENT"' in (tmp_path / "audit.html").read_text()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: "", "has no column"),
        (lambda text: text.replace(",photo,", ",foto,", 1), "has no column photo"),
        (lambda text: text.replace(",1,0,", ",yes,0,", 1), "face is 'yes'"),
        (lambda text: text[: text.rindex("\n", 0, -1) + 1], "the table beside it"),
    ],
)
def test_a_damaged_table_is_one_line_that_names_it(tmp_path: Path, change: object, message: str) -> None:
    few = table({"White": 20}, photographs=5)
    splits = prepared(tmp_path / "prepare", {"validation": few, "audit": few})
    path = splits / "audit.csv"
    path.write_text(change(path.read_text()))  # type: ignore[operator]
    with pytest.raises(UserError, match=message) as raised:
        audit(judged(tmp_path / "b"), None, splits, tmp_path, PARAMS, lambda bundle, variant: Reader())
    assert "\n" not in str(raised.value)


def test_a_split_without_faces_is_one_line(tmp_path: Path) -> None:
    splits = prepared(tmp_path / "prepare", {"validation": table({"White": 20}, 5), "audit": table({}, 5)})
    with pytest.raises(UserError, match="no audit faces"):
        audit(judged(tmp_path / "b"), None, splits, tmp_path, PARAMS, lambda bundle, variant: Reader())
