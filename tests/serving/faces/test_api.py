"""The faces API over HTTP: photographs in, what was measured of the model out, and nothing kept."""

from __future__ import annotations

import io
import json
import re
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from components.bundle import Bundle
from components.datasets.faces.reader import centre, read_split
from components.labs.faces.evaluation.scenes import compose
from components.labs.faces.params import Detection
from components.labs.faces.runtime.detection import Found, detect, intersection_over_union
from components.labs.faces.runtime.model import FaceModel
from components.sources.archive import read_tar
from tests.face_data import RAW
from tests.serving.conftest import FACES_LIMITATION
from tests.serving.hostile import ANSWERED, GREY, REFUSED, THE_SAME, jpeg
from tests.serving.servers import PROJECT, Server, command, serving

PICTURES = 40


@pytest.fixture(scope="module")
def faces(prepared_faces: Path) -> list[bytes]:
    """Files as their source gives them. (The fixture asked for skips where there are none.)"""
    return [
        content for _, content in islice(read_tar(RAW / "fairface" / "fairface_train_10k.tar"), 1000, 1000 + PICTURES)
    ]


@pytest.fixture(scope="module")
def photographs(prepared_faces: Path) -> list[bytes]:
    tar = RAW / "caltech101" / "caltech101_nonfaces.tar"
    return [content for _, content in islice(read_tar(tar), 5, 5 + 50 * PICTURES, 50)]


@pytest.fixture(scope="module")
def face(faces: list[bytes]) -> Image.Image:
    return Image.open(io.BytesIO(faces[0])).convert("RGB")


@pytest.fixture(scope="module")
def scene(prepared_faces: Path) -> Image.Image:
    return Image.fromarray(compose(read_split(prepared_faces, "audit"), 3, seed=3, smallest=64)[2].photograph)


def post(server: Server, path: str, content: bytes) -> httpx.Response:
    return server.client.post(path, content=content, headers={"content-type": "image/jpeg"})


def ask(server: Server, path: str, content: bytes) -> dict[str, Any]:
    answer = post(server, path, content)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def served_model(folder: Path) -> tuple[FaceModel, dict[str, Any]]:
    chosen = json.loads((folder / "evaluation.json").read_text())["serve"]
    return FaceModel.load(Bundle.open(folder), chosen["variant"]), chosen


def test_a_file_is_judged_as_the_audit_judged_it(
    faces_server: Server, promoted_faces: Path, faces: list[bytes], photographs: list[bytes]
) -> None:
    """Whatever the decoder leaves out: the pictures that prepare makes of the files, and the same threshold."""
    model, chosen = served_model(promoted_faces)
    whole = [Image.open(io.BytesIO(content)).convert("RGB") for content in faces + photographs]
    side = model.picture_size
    squares = [
        ((w - min(w, h)) / 2, (h - min(w, h)) / 2, (w + min(w, h)) / 2, (h + min(w, h)) / 2)
        for w, h in (image.size for image in whole)
    ]
    prepared = [
        image.resize((side, side), Image.Resampling.BILINEAR, box=box)
        for image, box in zip(whole, squares, strict=True)
    ]
    expected = model.logits(centre(np.stack([np.asarray(image) for image in prepared])))
    answers = [ask(faces_server, "/classify", content) for content in faces + photographs]
    found = np.array([logit(answer["probability"]) for answer in answers])
    assert np.abs(found - expected).mean() < 0.25
    threshold = chosen["threshold"]
    clear = np.abs(expected - threshold) > 0.75
    assert clear.mean() > 0.5
    assert ([answer["is_face"] for answer in answers] == (expected > threshold))[clear].all()
    assert logit(answers[0]["threshold"]) == pytest.approx(threshold, abs=1e-4)
    assert np.mean([answer["is_face"] for answer in answers[:PICTURES]]) > 0.7
    assert np.mean([answer["is_face"] for answer in answers[PICTURES:]]) < 0.3


def searched(model: FaceModel, photograph: np.ndarray, chosen: dict[str, Any]) -> Found:
    """The boxes that evaluation would draw."""
    found = detect(model, photograph, chosen["threshold"], Detection(**chosen["detection"]))
    return found.above(chosen["detection_threshold"])


def logit(probability: float) -> float:
    return float(np.log(probability / (1 - probability)))


def test_boxes_are_those_that_evaluation_would_draw(
    faces_server: Server, promoted_faces: Path, scene: Image.Image
) -> None:
    model, chosen = served_model(promoted_faces)
    found = ask(faces_server, "/detect", jpeg(scene))
    decoded = np.asarray(Image.open(io.BytesIO(jpeg(scene))))
    expected = searched(model, decoded, chosen)
    boxes = [[face["left"], face["top"], face["right"], face["bottom"]] for face in found["faces"]]
    assert (found["width"], found["height"]) == scene.size
    assert len(boxes) > 0
    assert np.allclose(boxes, np.clip(expected.boxes, 0, [*scene.size, *scene.size]), atol=0.1)
    assert np.allclose([face["score"] for face in found["faces"]], 1 / (1 + np.exp(-expected.logits)), atol=1e-5)


def test_boxes_of_a_large_photograph_are_in_its_own_pixels(
    faces_server: Server, promoted_faces: Path, scene: Image.Image
) -> None:
    """Twelve megapixels are decoded at half their size: what is found is what all of them show."""
    large = scene.resize((4000, 3000), Image.Resampling.BICUBIC)
    model, chosen = served_model(promoted_faces)
    expected = searched(model, np.asarray(large), chosen)
    found = ask(faces_server, "/detect", jpeg(large))
    best = found["faces"][0]
    box = np.array([best["left"], best["top"], best["right"], best["bottom"]], dtype=np.float32)
    assert intersection_over_union(box, expected.boxes).max() > 0.8
    assert box.max() > 640, "not in pixels of what was decoded"


def close(found: dict[str, Any], expected: dict[str, Any]) -> bool:
    return bool(found["is_face"] == expected["is_face"] and abs(found["probability"] - expected["probability"]) < 0.2)


@pytest.mark.parametrize("name", [*THE_SAME, *GREY])
def test_a_picture_is_the_same_however_it_is_written(faces_server: Server, face: Image.Image, name: str) -> None:
    plain = face if name in THE_SAME else face.convert("L")
    found = ask(faces_server, "/classify", (THE_SAME | GREY)[name](face))
    assert close(found, ask(faces_server, "/classify", jpeg(plain)))


@pytest.mark.parametrize("name", [name for name in THE_SAME if "exif" in name])
def test_boxes_are_drawn_on_the_photograph_as_it_is_looked_at(
    faces_server: Server, scene: Image.Image, name: str
) -> None:
    plain, found = (ask(faces_server, "/detect", content) for content in (jpeg(scene), THE_SAME[name](scene)))
    assert (found["width"], found["height"]) == scene.size
    count = len(plain["faces"])
    assert abs(len(found["faces"]) - count) <= 1 < count, "compressed in another way, the faintest may be lost"
    best, same = found["faces"][0], plain["faces"][0]
    assert all(abs(best[side] - same[side]) < 8 for side in ("left", "top", "right", "bottom"))


@pytest.mark.parametrize("path", ["/classify", "/detect"])
@pytest.mark.parametrize("name", ANSWERED)
def test_an_odd_picture_is_answered(faces_server: Server, face: Image.Image, path: str, name: str) -> None:
    found = ask(faces_server, path, ANSWERED[name](face))
    if name != "black and white":  # that is the face, dithered
        assert found.get("faces", []) == []


@pytest.mark.parametrize("path", ["/classify", "/detect"])
@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_picture_is_refused_with_a_reason(
    faces_server: Server, face: Image.Image, path: str, name: str
) -> None:
    status, make = REFUSED[name]
    content = make(face)
    for answer in (
        post(faces_server, path, content),
        faces_server.client.post(path, files={"file": ("photo.jpg", content, "image/jpeg")}),
    ):
        assert answer.status_code == status, answer.text
        assert answer.headers["content-type"] == "application/problem+json"
        assert len(answer.json()["detail"]) > 20
        assert answer.headers["x-model-digest"]


def test_memory_is_bounded_whatever_is_sent(faces_server: Server, face: Image.Image) -> None:
    before = peak_bytes(faces_server)
    bomb = REFUSED["20,000 x 20,000"][1](face)
    large = ANSWERED["25 million pixels with alpha"](face)
    with ThreadPoolExecutor(8) as crowd:
        answers = [
            *crowd.map(lambda content: post(faces_server, "/detect", content), [bomb, large, *20 * [bomb], large])
        ]
    assert {answer.status_code for answer in answers} == {200, 413}
    assert peak_bytes(faces_server) - before < 400_000_000


def test_two_hundred_megabytes_are_not_read_to_their_end(faces_server: Server) -> None:
    sent = 0

    def pieces() -> Iterator[bytes]:
        nonlocal sent
        for _ in range(3200):
            sent += 65536
            yield bytes(65536)

    before = peak_bytes(faces_server)
    answer = faces_server.client.post("/detect", content=pieces(), headers={"content-type": "image/jpeg"})
    assert answer.status_code == 413
    assert sent < 100_000_000
    assert peak_bytes(faces_server) - before < 100_000_000


def peak_bytes(server: Server) -> int:
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    return 1024 * int(status.split("VmHWM:")[1].split()[0])


def test_bodies_that_wait_together_are_bounded(promoted_faces: Path, face: Image.Image, tmp_path: Path) -> None:
    with serving("faces", promoted_faces, tmp_path, body_bytes=900_000, held_bytes=1_000_000) as server:
        padded = jpeg(face) + bytes(300_000)
        with socket.create_connection(("127.0.0.1", server.port), timeout=600) as slow:
            slow.sendall(b"POST /classify HTTP/1.1\r\nHost: x\r\nContent-Length: 850000\r\n\r\n" + bytes(800_000))
            server.wait_for(lambda: post(server, "/classify", padded).status_code == 429)
            assert int(post(server, "/classify", padded).headers["retry-after"]) >= 1
            assert post(server, "/classify", jpeg(face)).status_code == 200, "there is room for a small one"
        server.wait_for(lambda: post(server, "/classify", padded).status_code == 200)


@pytest.mark.parametrize("path", ["/classify", "/detect"])
def test_several_pictures_are_answered_in_their_order(
    faces_server: Server, face: Image.Image, scene: Image.Image, path: str
) -> None:
    contents = [jpeg(scene), jpeg(face), jpeg(scene)]
    files = [("file", (f"{number}.jpg", content, "image/jpeg")) for number, content in enumerate(contents)]
    batch = faces_server.client.post(f"{path}/batch", files=files).json()
    for found, content in zip(batch["results"], contents, strict=True):
        alone = ask(faces_server, path, content)
        assert found == {key: alone[key] for key in found}
    form = faces_server.client.post(path, files=files[1:2]).json()
    assert form == ask(faces_server, path, contents[1])


def test_a_batch_names_the_files_that_it_cannot_look_at(faces_server: Server, face: Image.Image) -> None:
    files = [("file", ("a.jpg", jpeg(face))), ("file", ("b.jpg", b"no")), ("file", ("c.jpg", jpeg(face)[:900]))]
    answer = faces_server.client.post("/classify/batch", files=files)
    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == ["files.1", "files.2"]


BOUNDARY = {"content-type": "multipart/form-data; boundary=b"}


@pytest.mark.parametrize(
    ("request_of", "status", "words"),
    [
        ({"files": {"file": (None, "http://127.0.0.1/photo.jpg")}}, 422, "no address is fetched"),
        ({"files": [("file", ("a", b"x"))] * 2}, 422, "at most 1 picture"),
        ({"content": b"--b--\r\n", "headers": BOUNDARY}, 400, "no picture in the form"),
        ({"content": b"--b\r\nContent-Dis", "headers": BOUNDARY}, 400, "form"),
        ({"content": b"x", "headers": {"content-type": "multipart/form-data"}}, 400, "form can't be read"),
        ({"json": {"url": "http://127.0.0.1/photo.jpg"}}, 415, "not a picture"),
        ({"data": {"url": "http://127.0.0.1/photo.jpg"}}, 415, "not a picture"),
    ],
    ids=["an address", "two files", "no file", "half a form", "no boundary", "json", "a web form"],
)
def test_a_form_that_holds_no_picture_says_what_to_send(
    faces_server: Server, request_of: dict[str, Any], status: int, words: str
) -> None:
    for path in ("/classify", "/detect"):
        answer = faces_server.client.post(path, **request_of)
        assert answer.status_code == status, answer.text
        assert words in answer.json()["detail"]


def test_a_batch_must_be_a_form_of_at_most_so_many_files(faces_server: Server, face: Image.Image) -> None:
    assert post(faces_server, "/classify/batch", jpeg(face)).status_code == 415
    many = faces_server.client.post("/classify/batch", files=[("file", ("a.jpg", b"x"))] * 33)
    assert many.status_code == 422
    assert "at most 32 pictures" in many.json()["detail"]


def test_the_audit_and_the_card_are_of_the_model_that_answers(faces_server: Server, promoted_faces: Path) -> None:
    audit = faces_server.client.get("/audit").json()
    written = json.loads((promoted_faces / "audit.json").read_text())
    assert audit["verdict"] == "PASS"
    assert audit["requirements"] == written["requirements"]
    assert audit["metrics"] == written["metrics"]
    assert audit["recall"] == written["details"]["recall"]["value"]
    assert audit["false_positive_rate"] == written["details"]["negatives"]["all"]["value"]
    gated = [
        group for attribute in written["details"]["attributes"] if attribute["gated"] for group in attribute["groups"]
    ]
    assert audit["worst_group"]["recall"] == min(group["recall"]["value"] for group in gated)
    assert audit["model"]["model_digest"] == Bundle.open(promoted_faces).digest == written["model_digest"]
    report = faces_server.client.get(audit["report"], headers={"accept": "text/html,*/*;q=0.8"})
    assert report.content == (promoted_faces / "audit.html").read_bytes()
    assert "default-src 'none'" in report.headers["content-security-policy"]
    card = faces_server.client.get(audit["card"])
    assert card.content == (promoted_faces / "card.md").read_bytes()
    assert card.headers["content-type"].startswith("text/markdown")


def test_every_answer_says_which_model_gave_it_and_how_it_was_audited(
    faces_server: Server, promoted_faces: Path, face: Image.Image
) -> None:
    digest = Bundle.open(promoted_faces).digest
    for path in ("/livez", "/readyz", "/info", "/audit", "/card", "/docs.json", "/nope", "/"):
        assert_provenance(faces_server.client.get(path), digest)
    for path in ("/classify", "/detect"):
        for content in (jpeg(face), b"no picture"):
            assert_provenance(post(faces_server, path, content), digest)
        model = ask(faces_server, path, jpeg(face))["model"]
        assert (model["model_digest"], model["audit"], model["promoted"]) == (digest, "PASS", True)


def assert_provenance(answer: httpx.Response, digest: str) -> None:
    assert answer.headers["x-model-digest"] == digest
    assert answer.headers["x-audit"] == "PASS"
    assert answer.headers["x-promoted"] == "true"
    for name in ("x-request-id", "x-data-profile"):
        assert answer.headers[name]


def test_info_tells_thresholds_limits_and_limitations(faces_server: Server, promoted_faces: Path) -> None:
    info = faces_server.client.get("/info").json()
    chosen = json.loads((promoted_faces / "evaluation.json").read_text())["serve"]
    assert info["model"]["variant"] == chosen["variant"]
    assert info["threshold"] == pytest.approx(1 / (1 + np.exp(-chosen["threshold"])))
    assert info["limitations"] == [FACES_LIMITATION]
    assert info["limits"]["max_pixels"] == 25_000_000
    assert info["metrics"]["recall"] > 0.5


def test_photographs_are_not_logged(faces_server: Server, face: Image.Image) -> None:
    files = {"file": ("grandmother-1962.jpg", jpeg(face, comment=b"sesame"))}
    for path in ("/classify", "/detect", "/classify/batch"):
        answer = faces_server.client.post(path, files=files, params={"who": "sesame"})
        faces_server.wait_for_log(answer.headers["x-request-id"])
    for word in ("sesame", "grandmother", "JFIF"):
        assert word not in faces_server.log()


def test_requests_are_counted_by_route(faces_server: Server, face: Image.Image) -> None:
    name = 'http_requests_total{route="/classify",status="200"}'
    answers = ask(faces_server, "/classify", jpeg(face))
    faces_server.wait_for(lambda: name in faces_server.client.get("/metrics").text)
    before = faces_server.metric(name)
    assert ask(faces_server, "/classify", jpeg(face)) == answers
    faces_server.wait_for(lambda: faces_server.metric(name) >= before + 1)
    for path in ("/classify/x", "/nope", "/predict"):
        assert faces_server.client.get(path).status_code == 404
    assert "/predict" not in faces_server.client.get("/metrics").text


def test_the_serving_process_holds_no_torch(faces_server: Server) -> None:
    maps = Path(f"/proc/{faces_server.process.pid}/maps").read_text()
    assert "onnxruntime" in maps
    assert "torch" not in maps


def lose(folder: Path) -> None:
    (folder / "audit.json").unlink()


def alter(folder: Path) -> None:
    report = folder / "audit.html"
    report.write_text(report.read_text().replace("PASS", "pass"))


def fail(folder: Path) -> None:
    decision = json.loads((folder / "decision.json").read_text())
    (folder / "decision.json").write_text(json.dumps({**decision, "verdict": "FAIL"}))


@pytest.mark.parametrize(
    ("damage", "words", "standing"),
    [(lose, "its audit is missing", "NONE"), (alter, "was changed after the decision", "NONE"), (fail, "FAIL", "PASS")],
)
def test_a_model_whose_audit_does_not_hold_is_served_by_name_only_and_says_so(
    promoted_faces: Path, face: Image.Image, tmp_path: Path, damage: Callable[[Path], None], words: str, standing: str
) -> None:
    folder = tmp_path / "bundle"
    shutil.copytree(promoted_faces, folder)
    damage(folder)
    arguments = command("faces", folder, 0)
    done = subprocess.run(arguments, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert re.fullmatch(r"error: [^\n]*\n", done.stderr)
    assert words in done.stderr
    assert "--allow-unpromoted" in done.stderr
    with serving("faces", folder, tmp_path, "--allow-unpromoted") as server:
        answer = post(server, "/classify", jpeg(face))
        assert answer.status_code == 200
        assert (answer.headers["x-promoted"], answer.headers["x-audit"]) == ("false", standing)
        assert answer.json()["model"]["promoted"] is False
        assert answer.json()["model"]["audit"] == standing
        for path in ("/audit", "/card"):
            assert server.client.get(path).status_code == (404 if standing == "NONE" else 200)


def test_a_bundle_that_was_only_exported_can_be_tried(faces_bundle: Bundle, scene: Image.Image, tmp_path: Path) -> None:
    with serving("faces", faces_bundle.folder, tmp_path, "--allow-unpromoted") as server:
        assert ask(server, "/detect", jpeg(scene))["threshold"] == 0.5
        assert server.client.get("/info").json()["metrics"] == {}
