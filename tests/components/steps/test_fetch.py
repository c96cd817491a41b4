"""The fetch step: datasets, profiles, and a fallback that nobody can overlook and that is one dataset's own."""

import hashlib
import logging
import resource
import socket
import subprocess
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import yaml
from filelock import FileLock

from components import __main__ as command
from components.datasets import DATASETS
from components.errors import UserError
from components.labs import LABS, find
from components.settings import project_root, settings
from components.sources import download, pin
from components.sources.archive import write_tar
from components.sources.catalogue import Profile, SourceFile, declared, raw_folder
from components.sources.fetch import WORK_FOLDER
from components.steps.fetch import Fetched, fetch
from tests.components.sources import package_index

PROJECT = project_root()
PARAMS = """\
# numbers
datasets:
  music:
    profile: course  # of the tunes
  digits: {profile: course, limit: 0}  # of the digits
  faces:
    profile: course  # of the faces
music:
  layers: 2  # keep
"""
TUNES, DIGITS, FEWER_DIGITS = b"X:1\nT:real\n", b"digits", b"few"
BOTH = ("music", "digits")


def declare(dataset: str, path: str, content: bytes, profiles: list[str], *places: Any) -> SourceFile:
    return SourceFile.model_validate(
        {
            "dataset": dataset,
            "path": path,
            "profiles": profiles,
            "sha256": hashlib.sha256(content).hexdigest(),
            "bytes": len(content),
            "licence": "ours",
            "from": places,
        }
    )


def put(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


@pytest.fixture
def nowhere() -> Iterator[dict[str, str]]:
    """A place whose server refuses connections."""
    download._probe.cache_clear()  # what was said of a port is not said of its next owner
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield {"kind": "file", "url": f"http://127.0.0.1:{taken.getsockname()[1]}/a"}


@pytest.fixture(autouse=True)
def mirror(tmp_path: Path, nowhere: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A mirror with all but the course's digits; nothing else has the files. Music has no starter data."""
    folder = tmp_path / "mirror"
    put(folder / "music/tunes.txt", TUNES)
    put(folder / "digits/few.txt", FEWER_DIGITS)
    use_mirror(monkeypatch, str(folder))
    use_files(
        monkeypatch,
        declare("music", "tunes.txt", TUNES, ["course"], nowhere),
        declare("digits", "all.txt", DIGITS, ["course"], nowhere),
        declare("digits", "few.txt", FEWER_DIGITS, ["starter"], nowhere),
    )
    yield folder
    settings.cache_clear()


def use_mirror(monkeypatch: pytest.MonkeyPatch, place: str) -> None:
    monkeypatch.setenv("DATA_MIRROR", place)
    settings.cache_clear()


def use_files(monkeypatch: pytest.MonkeyPatch, *files: SourceFile) -> None:
    for module in ("components.steps.fetch", "components.sources.pin"):
        monkeypatch.setattr(f"{module}.declared", lambda: files)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "project"
    put(root / "params.yaml", PARAMS.encode())
    return root


def bring(root: Path, *datasets: str, profile: Profile | None = None) -> dict[str, Fetched]:
    return {found.dataset: found for found in fetch(datasets or BOTH, (), profile, root)}


def profiles(root: Path) -> dict[str, str]:
    return {
        name: block["profile"] for name, block in yaml.safe_load((root / "params.yaml").read_text())["datasets"].items()
    }


def boxes(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Framed warnings, their lines joined."""
    framed = [record.getMessage() for record in caplog.records if record.getMessage().count("+----") == 2]
    return [" ".join(message.replace("|", " ").split()) for message in framed]


def test_the_course_profile_is_brought_whole(root: Path, mirror: Path) -> None:
    put(mirror / "digits/all.txt", DIGITS)

    found = bring(root)

    for name in BOTH:
        assert found[name] == Fetched(name, "course", root / "data" / name, found[name].files, fallback=None)
    assert (root / "data/music/tunes.txt").read_bytes() == TUNES
    assert (root / "data/digits/all.txt").read_bytes() == DIGITS
    assert (root / "params.yaml").read_text() == PARAMS
    assert {place for again in bring(root).values() for place in again.files.values()} == {"already there"}


def test_a_dataset_brings_its_own_files_only(root: Path) -> None:
    found = bring(root, "music")

    assert list(found["music"].files) == ["music/tunes.txt"]
    assert not (root / "data/digits").exists()


def test_what_cannot_be_had_complete_falls_back_loudly(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        found = bring(root)["digits"]

    assert (found.profile, found.folder) == ("starter", root / "data/starter/digits")
    assert (root / "data/starter/digits/few.txt").read_bytes() == FEWER_DIGITS
    (message,) = boxes(caplog)
    for said in (
        "FALLING BACK TO THE STARTER DATA OF DIGITS",
        "digits/all.txt",
        "connection refused",
        "datasets.digits.profile: starter",
        "fetch digits --profile course",
    ):
        assert said in message
    assert found.fallback is not None


def test_a_dataset_that_falls_back_changes_no_other(root: Path) -> None:
    found = bring(root)["music"]

    assert (found.profile, found.folder, found.fallback) == ("course", root / "data/music", None)
    assert (root / "data/music/tunes.txt").read_bytes() == TUNES
    changed = PARAMS.replace("digits: {profile: course", "digits: {profile: starter")
    assert (root / "params.yaml").read_text() == changed


@pytest.fixture
def without_network(
    tmp_path: Path, nowhere: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[list[SourceFile]]:
    """No mirror, and no server but the package index; files with places of the kinds that sources.toml has."""
    use_mirror(monkeypatch, "")
    sdist = package_index.write_index(tmp_path / "index", TUNES, monkeypatch)
    write_tar(tmp_path / "faces.tar", package_index.FACES)
    tar = (tmp_path / "faces.tar").read_bytes()
    files = [
        declare("music", "tunes.txt", TUNES, ["course"], nowhere, {**sdist, "path": "tunes/data/a.abc"}),
        declare("digits", "all.txt", DIGITS, ["course"], nowhere),
        declare("faces", "all.tar", b"many faces", ["course"], nowhere),
        declare(
            "faces",
            "few.tar",
            tar,
            ["course", "starter"],
            nowhere,
            {**sdist, "path": "tunes/data/faces", "include": ["*.png"]},
        ),
        *(source for source in declared() if source.places[0].kind == "installed"),
    ]
    use_files(monkeypatch, *files)
    yield files


def test_without_network_and_mirror_only_what_the_package_index_lacks_falls_back_each_on_its_own(
    root: Path, without_network: list[SourceFile], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        found = bring(root, "digits", "music", "faces")

    assert {name: each.profile for name, each in found.items()} == {
        "digits": "starter",
        "music": "course",
        "faces": "starter",
    }
    assert profiles(root) == {name: each.profile for name, each in found.items()}
    assert (root / "data/music/tunes.txt").read_bytes() == TUNES, "the real ones"
    for path in ("digits/uci/digits.csv.gz", "faces/lfw/lfw_subset.npy", "faces/few.tar"):
        assert (root / "data/starter" / path).is_file()
    assert sorted(path.name for path in (root / "data/starter").iterdir()) == ["digits", "faces"]
    assert not (root / "data/digits").exists()
    said = boxes(caplog)
    assert len(said) == 2
    for name, message in zip(("digits", "faces"), said, strict=True):
        assert f"DATA OF {name.upper()}" in message
        assert f"datasets.{name}.profile: starter" in message
        assert "music" not in message


def test_the_tunes_alone_need_no_fallback_without_network_and_mirror(
    root: Path, without_network: list[SourceFile], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        found = bring(root, "music")["music"]

    assert found.files == {
        "music/tunes.txt": "sdist tunes 1.0",
        "music/printed_collections.tar": f"installed music21 {version('music21')}",
    }
    assert boxes(caplog) == []
    assert (root / "params.yaml").read_text() == PARAMS


def test_after_a_fallback_the_way_back_is_to_ask_for_the_course(root: Path, mirror: Path) -> None:
    bring(root)
    assert bring(root)["digits"].profile == "starter"
    put(mirror / "digits/all.txt", DIGITS)

    assert bring(root, "digits", profile="course")["digits"].profile == "course"

    assert (root / "params.yaml").read_text() == PARAMS


def test_a_profile_that_was_asked_for_is_brought_or_is_an_error(root: Path) -> None:
    with pytest.raises(UserError, match=r"the course data of digits cannot be had: digits/all\.txt"):
        bring(root, "digits", profile="course")

    assert not (root / "data/starter").exists()
    assert (root / "params.yaml").read_text() == PARAMS


def test_a_dataset_without_starter_data_says_so_where_it_is_asked_for(root: Path) -> None:
    with pytest.raises(UserError, match=r"the starter data of music cannot be had: sources\.toml has no starter data"):
        bring(root, "music", profile="starter")

    assert (root / "params.yaml").read_text() == PARAMS


def test_nothing_to_be_had_names_both_profiles(root: Path, mirror: Path) -> None:
    (mirror / "digits/few.txt").unlink()

    with pytest.raises(UserError, match=r"no data of digits can be had; course: .*; starter: "):
        bring(root, "digits")

    assert (root / "params.yaml").read_text() == PARAMS


def test_where_everything_is_asked_for_a_dataset_that_cannot_be_had_is_said_loudly_and_the_others_are_brought(
    root: Path, mirror: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (mirror / "digits/few.txt").unlink()

    with caplog.at_level(logging.WARNING):
        found = fetch(("digits", "music"), (), None, root, optional=True)

    assert [each.dataset for each in found] == ["music"]
    (said,) = boxes(caplog)
    assert "THERE IS NO DATA OF DIGITS" in said and "no data of digits can be had; course: " in said
    assert (root / "params.yaml").read_text() == PARAMS


def test_a_mirror_that_is_not_there_is_said(
    root: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    use_mirror(monkeypatch, "/no/such/mirror")

    with pytest.raises(UserError, match="no data of music can be had"):
        bring(root)

    assert "/no/such/mirror, which is no folder" in caplog.text


def test_a_wrong_hash_is_an_error_and_no_reason_to_fall_back(root: Path, mirror: Path) -> None:
    put(mirror / "digits/all.txt", b"wrong")

    with pytest.raises(UserError, match=hashlib.sha256(DIGITS).hexdigest()):
        bring(root)

    assert not (root / "data/starter").exists()
    assert (root / "params.yaml").read_text() == PARAMS


def test_data_that_was_accepted_on_purpose_is_left_alone(root: Path, mirror: Path) -> None:
    put(mirror / "digits/all.txt", DIGITS)
    bring(root)
    put(root / "data/music/tunes.txt", b"X:1\nT:another version\n")
    with pytest.raises(UserError, match="accept-data"):
        bring(root)
    subprocess.run(["git", "init", "-q"], cwd=root, check=True)
    for name in (".dvc/config", ".dvcignore"):
        put(root / name, (PROJECT / name).read_bytes())
    pin.accept_data(root, "music", "course")

    assert set(bring(root)["music"].files.values()) == {"already there"}
    assert b"another" in (root / "data/music/tunes.txt").read_bytes()


def test_two_fetches_take_turns(root: Path, mirror: Path) -> None:
    put(mirror / "digits/all.txt", DIGITS)
    (root / WORK_FOLDER).mkdir(parents=True)
    found: list[dict[str, Fetched]] = []
    second = Thread(target=lambda: found.append(bring(root)))

    with FileLock(root / WORK_FOLDER / "lock"):
        second.start()
        second.join(timeout=0.3)
        assert not (root / "data/music").exists()
    second.join(timeout=600)

    assert found[0]["digits"].profile == "course"


def test_a_data_folder_that_cannot_be_made_is_one_line(root: Path) -> None:
    (root / "data").write_text("a file is in the way")

    with pytest.raises(UserError, match="cannot write to"):
        bring(root, profile="course")


def test_a_disk_that_is_full_is_one_line_and_leaves_no_data(root: Path, mirror: Path) -> None:
    put(mirror / "digits/all.txt", DIGITS)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(DIGITS) + 1, limits[1]))  # enough for the digits, not for the tunes
    try:
        with pytest.raises(UserError, match="cannot write to"):
            bring(root, profile="course")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)

    assert not (root / "data/music/tunes.txt").exists()
    assert bring(root, profile="course").keys() == {"music", "digits"}


# --- the command: what a lab reads


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[list[str], list[str]]]:
    """Datasets and weights that the command asks the step for."""
    calls: list[tuple[list[str], list[str]]] = []
    monkeypatch.setattr(
        "components.steps.fetch.fetch",
        lambda datasets, pretrained, profile, root, optional: calls.append((list(datasets), list(pretrained))),
    )
    return calls


@pytest.mark.parametrize("lab", LABS)
def test_a_lab_brings_what_it_reads_and_nothing_else(lab: str, asked: list[tuple[list[str], list[str]]]) -> None:
    command.fetch([lab])

    assert asked == [([find(lab).dataset], list(find(lab).pretrained))]


def test_a_lab_brings_what_the_labs_that_it_is_measured_with_read_and_what_those_are_measured_with(
    asked: list[tuple[list[str], list[str]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(find("digit_generation"), "reference_models", ("faces",))
    monkeypatch.setattr(find("faces"), "reference_models", ("music",))
    monkeypatch.setattr(find("faces"), "pretrained", ("vgg",), raising=False)

    command.fetch(["digit_generation"])

    ((datasets, weights),) = asked
    assert sorted(datasets) == ["digits", "faces", "music"]
    assert weights == ["vgg"]


def test_without_names_everything_is_brought_once(asked: list[tuple[list[str], list[str]]]) -> None:
    command.fetch(None)

    ((datasets, _),) = asked
    assert sorted(datasets) == sorted(DATASETS)


def test_an_unknown_lab_or_dataset_names_the_nearest(asked: list[tuple[list[str], list[str]]]) -> None:
    with pytest.raises(UserError, match="did you mean 'music'"):
        command.fetch(["musik"])

    assert asked == []


def test_weights_that_a_lab_starts_from_are_brought_or_are_one_line(
    root: Path, mirror: Path, nowhere: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    use_files(monkeypatch, declare("vgg", "weights.bin", b"weights", ["course"], nowhere))
    with pytest.raises(UserError, match=r"the course data of vgg cannot be had: vgg/weights\.bin"):
        fetch((), ("vgg",), None, root)
    put(mirror / "vgg/weights.bin", b"weights")

    fetch((), ("vgg",), None, root)

    assert (root / raw_folder("vgg", "course") / "weights.bin").read_bytes() == b"weights"
    assert (root / "params.yaml").read_text() == PARAMS
