"""Bringing one file: the first place that has it wins, and nothing but the declared content ever lands."""

import gzip
import hashlib
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from threading import Event
from typing import Any

import pytest
import yaml

from components.datasets import DATASETS
from components.errors import UserError
from components.labs import LABS, find
from components.sources import derived_tables, download
from components.sources.archive import read_tar, write_tar
from components.sources.catalogue import DATA, SOURCES, Git, SourceFile, declared, declared_packages, raw_folder, select
from components.sources.errors import UnavailableError, WrongHashError
from components.sources.fetch import WORK_FOLDER, bring
from components.sources.git import chosen_files
from components.sources.patterns import matches
from components.sources.profile import PROFILES
from tests.components.sources import package_index
from tests.components.sources import web as serving
from tests.components.sources.web import Web

PROJECT = Path(__file__).resolve().parents[3]
TUNES = Path(DATA, "music", "tunes.abc")
CONTENT = bytes(range(256)) * 2000  # 512 kB: more than one chunk


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Our own servers may be slow, and one may have the port of another that was not there."""
    for name in ("CONNECT_SECONDS", "READ_SECONDS"):
        monkeypatch.setattr(download, name, 600.0)
    download._probe.cache_clear()


@pytest.fixture
def web() -> Iterator[Web]:
    with serving.serve() as web:
        yield web


@pytest.fixture
def nowhere() -> Iterator[str]:
    """An address that refuses connections: a port that is taken but not listened on."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}"


@pytest.fixture
def course() -> Path:
    """The raw faces: of all datasets the one with tars and tables."""
    folder = PROJECT / raw_folder("faces", "course")
    if not (folder / "fairface/fairface_val_5k.tar").exists():
        pytest.skip("needs `python -m components fetch faces`")
    return folder


def file(*places: dict[str, Any], content: bytes = CONTENT) -> SourceFile:
    return SourceFile.model_validate(
        {
            "dataset": "music",
            "path": "tunes.abc",
            "profiles": ["course"],
            "sha256": hashlib.sha256(content).hexdigest(),
            "bytes": len(content),
            "licence": "ours",
            "from": places,
        }
    )


def at(url: str) -> dict[str, Any]:
    return {"kind": "file", "url": url}


def brought(source: SourceFile, root: Path, mirror: str | None = None) -> str:
    """`bring` into the project at `root`."""
    return bring(source, root / DATA / source.dataset, root / WORK_FOLDER, mirror)


def landed(root: Path) -> bytes | None:
    path = root / TUNES
    return path.read_bytes() if path.exists() else None


def put(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


# --- which place


def test_what_is_there_is_not_fetched_again(tmp_path: Path, web: Web) -> None:
    put(tmp_path / TUNES, CONTENT)

    assert brought(file(at(f"{web.address}/a")), tmp_path) == "already there"
    assert web.requests == []


def test_a_changed_file_is_neither_accepted_nor_overwritten(tmp_path: Path, web: Web) -> None:
    web.pages["/a"] = serving.whole(CONTENT)
    put(tmp_path / TUNES, b"mine")

    with pytest.raises(WrongHashError, match="accept-data") as error:
        brought(file(at(f"{web.address}/a")), tmp_path)

    assert hashlib.sha256(b"mine").hexdigest() in str(error.value)
    assert hashlib.sha256(CONTENT).hexdigest() in str(error.value)
    assert landed(tmp_path) == b"mine"


def test_the_mirror_comes_before_upstream(tmp_path: Path, web: Web) -> None:
    web.pages["/a"] = serving.whole(CONTENT)
    mirror = tmp_path / "mirror"
    (mirror / "music").mkdir(parents=True)
    (mirror / "music/tunes.abc").write_bytes(CONTENT)

    assert brought(file(at(f"{web.address}/a")), tmp_path, str(mirror)) == str(mirror / "music/tunes.abc")
    assert landed(tmp_path) == CONTENT
    assert web.requests == []


def test_the_mirror_may_be_an_address(tmp_path: Path, web: Web) -> None:
    web.pages["/mirror/music/tunes.abc"] = serving.whole(CONTENT)

    brought(file(at(f"{web.address}/a")), tmp_path, f"{web.address}/mirror/")

    assert landed(tmp_path) == CONTENT


def test_a_mirror_without_the_file_is_passed_over(tmp_path: Path, web: Web) -> None:
    web.pages["/a"] = serving.whole(CONTENT)

    assert brought(file(at(f"{web.address}/a")), tmp_path, str(tmp_path / "empty")) == f"{web.address}/a"


def test_each_place_says_why_it_could_not_help(tmp_path: Path, web: Web, nowhere: str) -> None:
    absent = {"kind": "installed", "package": "no-such-package", "version": "1", "path": "a"}

    with pytest.raises(UnavailableError) as error:
        brought(file(at(f"{web.address}/gone"), at(f"{nowhere}/a"), absent), tmp_path, str(tmp_path / "empty"))

    for reason in ("is not there", "answered 404", "connection refused", "no-such-package is not installed"):
        assert reason in str(error.value)
    assert landed(tmp_path) is None


# --- a network that fails


def test_an_unreachable_server_is_asked_once_however_many_files_it_has(tmp_path: Path, nowhere: str) -> None:
    for name in "abc":
        with pytest.raises(UnavailableError, match="connection refused"):
            brought(file(at(f"{nowhere}/{name}")), tmp_path)

    assert download._probe.cache_info().misses == 1


def test_a_server_that_never_answers_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "CONNECT_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(UnavailableError, match="timed out"):
        brought(file(at(f"http://127.0.0.1:{silent.getsockname()[1]}/a")), tmp_path)


def test_an_unknown_host_is_named(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match=r"data\.invalid cannot be reached"):
        brought(file(at("http://data.invalid/a")), tmp_path)


def test_a_download_that_breaks_off_is_continued_where_it_stopped(tmp_path: Path, web: Web) -> None:
    web.pages["/a"] = serving.cut_off(CONTENT, keep=200_000, times=1)

    brought(file(at(f"{web.address}/a")), tmp_path)

    assert landed(tmp_path) == CONTENT
    # Whole chunks of 64 KiB are kept.
    assert web.requests == [("/a", None), ("/a", "bytes=196608-")]


def test_a_download_that_always_breaks_off_never_lands(tmp_path: Path, web: Web) -> None:
    web.pages["/a"] = serving.cut_off(CONTENT, keep=1000)

    with pytest.raises(UnavailableError, match="broke off 3 times"):
        brought(file(at(f"{web.address}/a")), tmp_path)

    assert landed(tmp_path) is None
    assert len(web.requests) == 3


def test_a_server_without_ranges_starts_over(tmp_path: Path, web: Web) -> None:
    web.pages["/a"] = serving.without_ranges(CONTENT)
    put(tmp_path / WORK_FOLDER / f"{hashlib.sha256(CONTENT).hexdigest()}.part", CONTENT[:1000])

    brought(file(at(f"{web.address}/a")), tmp_path)

    assert landed(tmp_path) == CONTENT


@pytest.mark.parametrize("left", [b"not the beginning of it", CONTENT, CONTENT + b"more", b""])
def test_what_an_earlier_try_left_is_never_trusted(tmp_path: Path, web: Web, left: bytes) -> None:
    web.pages["/a"] = serving.whole(CONTENT)
    put(tmp_path / WORK_FOLDER / f"{hashlib.sha256(CONTENT).hexdigest()}.part", left)

    brought(file(at(f"{web.address}/a")), tmp_path)

    assert landed(tmp_path) == CONTENT


def test_wrong_bytes_are_an_error_that_names_both_hashes(tmp_path: Path, web: Web) -> None:
    wrong = CONTENT[:-1] + b"!"
    web.pages["/a"] = serving.whole(wrong)
    web.pages["/b"] = serving.whole(CONTENT)

    with pytest.raises(WrongHashError, match=f"{web.address}/a") as error:
        brought(file(at(f"{web.address}/a"), at(f"{web.address}/b")), tmp_path)

    assert hashlib.sha256(wrong).hexdigest() in str(error.value)
    assert hashlib.sha256(CONTENT).hexdigest() in str(error.value)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_wrong_bytes_in_the_mirror_are_an_error(tmp_path: Path) -> None:
    mirror = tmp_path / "mirror"
    (mirror / "music").mkdir(parents=True)
    (mirror / "music/tunes.abc").write_bytes(b"cut")

    with pytest.raises(WrongHashError, match="mirror"):
        brought(file(at("http://data.invalid/a")), tmp_path, str(mirror))

    assert landed(tmp_path) is None


@pytest.mark.parametrize("length", [1000, len(CONTENT) + 1000])
def test_a_server_that_lies_about_the_length_is_not_believed(tmp_path: Path, web: Web, length: int) -> None:
    web.pages["/a"] = serving.lying_about_length(CONTENT, length)

    with pytest.raises((UnavailableError, WrongHashError)):
        brought(file(at(f"{web.address}/a")), tmp_path)

    assert landed(tmp_path) is None


def test_a_server_that_sends_without_end_is_cut_off(tmp_path: Path, web: Web) -> None:
    web.pages["/a"] = serving.without_end

    with pytest.raises(UnavailableError, match="more than the declared"):
        brought(file(at(f"{web.address}/a")), tmp_path)

    assert sum(path.stat().st_size for path in tmp_path.rglob("*") if path.is_file()) < 2 * len(CONTENT)


def test_a_server_that_is_busy_once_is_asked_again(tmp_path: Path, web: Web) -> None:
    answers = iter([lambda handler: handler.answer(503, b""), serving.whole(CONTENT)])
    web.pages["/a"] = lambda handler: next(answers)(handler)

    brought(file(at(f"{web.address}/a")), tmp_path)

    assert landed(tmp_path) == CONTENT


def test_a_killed_fetch_leaves_no_data_and_the_next_one_continues(tmp_path: Path, web: Web) -> None:
    released = Event()
    web.pages["/a"] = serving.stuck_after(CONTENT[:300_000], released)
    program = (
        "import sys; from pathlib import Path; from components.sources.fetch import WORK_FOLDER, bring;"
        "from components.sources.catalogue import SourceFile; from components.sources import download;"
        "download.CONNECT_SECONDS = download.READ_SECONDS = 600; root = Path(sys.argv[2]);"
        "bring(SourceFile.model_validate_json(sys.argv[1]), root / 'data/music', root / WORK_FOLDER, None)"
    )
    source = file(at(f"{web.address}/a"))
    arguments = [sys.executable, "-c", program, source.model_dump_json(by_alias=True), str(tmp_path)]
    part = tmp_path / WORK_FOLDER / f"{source.sha256}.part"
    with subprocess.Popen(arguments, cwd=PROJECT) as child:
        while child.poll() is None and not (part.exists() and part.stat().st_size >= 250_000):
            released.wait(0.01)
        os.kill(child.pid, signal.SIGKILL)
    released.set()
    kept = part.stat().st_size
    assert landed(tmp_path) is None

    web.pages["/a"] = serving.whole(CONTENT)
    brought(source, tmp_path)

    assert landed(tmp_path) == CONTENT
    assert web.requests[-1] == ("/a", f"bytes={kept}-")


# --- chosen files of a repository


@pytest.fixture
def repository(tmp_path: Path) -> dict[str, str]:
    """A repository that would spoil its files if they were checked out: its address and a commit below the tip."""
    work = tmp_path / "work"
    files = {
        "data/faces/b/2.png": b"two\r\n",
        "data/faces/a/1.png": b"one\n",
        "data/faces/a/10.png": b"$Id$\n",
        "data/faces/a/notes.txt": b"no",
        "data/other/a/1.png": b"no",
        ".gitattributes": b"*.png text eol=crlf ident\n",
    }
    for name, content in files.items():
        (work / name).parent.mkdir(parents=True, exist_ok=True)
        (work / name).write_bytes(content)
    (work / "data/faces/a/3.png").symlink_to("/etc/passwd")

    def git(*arguments: str) -> str:
        who = ("-c", "user.name=a", "-c", "user.email=a@b")
        return subprocess.run(
            ["git", *who, *arguments], cwd=work, check=True, capture_output=True, text=True
        ).stdout.strip()

    git("init", "-q")
    git("config", "uploadpack.allowFilter", "true")
    git("config", "uploadpack.allowAnySHA1InWant", "true")
    git("add", "-A")
    git("commit", "-qm", "first")
    commit = git("rev-parse", "HEAD")
    (work / "data/faces/a/1.png").write_bytes(b"changed later\n")
    git("commit", "-qam", "second")
    return {"repository": work.as_uri(), "commit": commit}


def test_chosen_files_of_a_commit_become_the_deterministic_tar(
    tmp_path: Path, repository: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    # As they are in the commit: CRLF was normalised when it was added, and nothing is converted back.
    members = [("faces/a/1.png", b"one\n"), ("faces/a/10.png", b"$Id$\n"), ("faces/b/2.png", b"two\n")]
    write_tar(tmp_path / "expected.tar", members)
    expected = (tmp_path / "expected.tar").read_bytes()
    place = {"kind": "git", **repository, "folder": "data", "include": ["faces/*/*.png"]}

    brought(file(place, content=expected), Path())

    assert landed(tmp_path) == expected
    assert list((tmp_path / WORK_FOLDER).iterdir()) == []


def test_folders_of_a_repository_get_other_names_in_the_tar(tmp_path: Path, repository: dict[str, str]) -> None:
    renamed = {"faces/b/": "people/first/", "faces/": "people/other/"}
    source = Git(kind="git", **repository, folder="data", include=("faces/*/*.png",), renamed=renamed)

    assert [name for name, _ in chosen_files(source, tmp_path)] == [
        "people/first/2.png",
        "people/other/a/1.png",
        "people/other/a/10.png",
    ]


def test_only_the_chosen_files_are_downloaded(
    tmp_path: Path, repository: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_TRACE_PACKET", str(tmp_path / "trace"))
    source = Git(kind="git", **repository, include=("data/faces/b/*",), exclude=("data/other/*/*",))

    assert list(chosen_files(source, tmp_path)) == [("data/faces/b/2.png", b"two\n")]

    wants = {line.split("want ")[1][:40] for line in (tmp_path / "trace").read_text().splitlines() if "> want " in line}
    blob = subprocess.run(
        ["git", "rev-parse", f"{repository['commit']}:data/faces/b/2.png"],
        cwd=tmp_path / "work", check=True, capture_output=True, text=True,
    ).stdout.strip()  # fmt: skip
    assert wants == {repository["commit"], blob}


@pytest.mark.parametrize("wrong", [{"commit": "0" * 40}, {"repository": "file:///no/such"}, {"include": ("none/*",)}])
def test_a_repository_without_the_files_is_unavailable(
    tmp_path: Path, repository: dict[str, str], wrong: dict[str, Any]
) -> None:
    source = Git.model_validate({"kind": "git", "include": ("data/faces/b/*",), **repository, **wrong})

    with pytest.raises(UnavailableError):
        list(chosen_files(source, tmp_path))


@pytest.mark.parametrize(
    ("name", "fits"),
    [("a/1.png", True), ("a/b/1.png", False), ("1.png", False), ("a/1.pngx", False), ("A/1.PNG", False)],
)
def test_a_star_does_not_cross_a_slash(name: str, fits: bool) -> None:
    assert matches(name, ("*/*.png",)) is fits


NEAR_MISSES = [
    *(
        "train/0.jpg",
        "train/10001.jpg",
        "train/11000.jpg",
        "train/01.jpg",
        "val/5001.jpg",
        "val/10000.jpg",
        "val/1.png",
    ),
    *("101_ObjectCategories/ant/image_0031.jpg", "101_ObjectCategories/Faces/image_0001.jpg", "ant/image_0001.jpg"),
    *("101_ObjectCategories/saxophone/image_0003.jpg", "101_ObjectCategories/BACKGROUND_Google/image_0001.jpg"),
    *("bostonHousing/data/data.txt", "concrete/data/index_train_0.txt", "concrete/data/n_splits.txt"),
    *("ABC/jigs.abc", "ABC_cleaned/README.md", "faces/1.png", "text_styles/yoda.txt"),
]


@pytest.mark.parametrize(
    "source", [file for file in declared() if file.places[0].kind == "git"], ids=lambda source: source.dataset
)
def test_the_declared_patterns_choose_exactly_the_members_of_the_tar(source: SourceFile) -> None:
    place = source.places[0]
    assert isinstance(place, Git)
    tar = PROJECT / raw_folder(source.dataset, "course") / source.path
    if not tar.exists():
        pytest.skip(f"needs `python -m components fetch {source.dataset}`")
    members = [upstream(place, name) for name, _ in read_tar(tar)]

    assert [name for name in members + NEAR_MISSES if matches(name, place.include, place.exclude)] == members


def upstream(place: Git, name: str) -> str:
    """The name in the repository of a member of the tar."""
    for beginning, other in place.renamed.items():
        if name.startswith(other):
            return beginning + name.removeprefix(other)
    return name


# --- packages


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    return package_index.write_index(tmp_path / "index", CONTENT, monkeypatch)


def test_a_file_is_taken_out_of_a_source_archive(
    tmp_path: Path, index: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    brought(file({**index, "path": "tunes/data/a.abc"}), Path())

    assert landed(tmp_path) == CONTENT

    # The archive is kept, checked, for the next file of the package: the index is not asked again.
    shutil.rmtree(tmp_path / "index")
    write_tar(tmp_path / "faces.tar", package_index.FACES)
    faces = (tmp_path / "faces.tar").read_bytes()
    (tmp_path / TUNES).unlink()
    place = {**index, "path": "tunes/data/faces", "include": ["*.png"]}
    brought(file(place, content=faces), tmp_path)
    assert landed(tmp_path) == faces


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"version": "2.0"}, "pip: .*No matching distribution"),
        ({"sha256": "0" * 64}, f"pip: Expected sha256 {'0' * 64} Got "),
        ({"path": "tunes/none"}, "does not carry"),
    ],
)
def test_a_package_that_cannot_help_says_why(
    tmp_path: Path, index: dict[str, str], change: dict[str, str], reason: str
) -> None:
    with pytest.raises(UnavailableError, match=reason):
        brought(file({**index, "path": "tunes/data/a.abc", **change}), tmp_path)


def test_the_starter_sets_of_installed_packages_are_the_declared_ones(tmp_path: Path) -> None:
    files = [source for source in declared() if source.places[0].kind == "installed"]

    for source in files:
        brought(source, tmp_path)

    digits = gzip.decompress((tmp_path / "data/digits/uci/digits.csv.gz").read_bytes()).decode().splitlines()
    assert len(digits) == 1797
    assert (tmp_path / "data/faces/lfw/lfw_subset.npy").read_bytes().startswith(b"\x93NUMPY")
    members = [name for name, _ in read_tar(tmp_path / "data/music/printed_collections.tar")]
    assert Counter(name.split("/")[0] for name in members) == {"oneills1850": 39, "ryansMammoth": 1059, "airdsAirs": 6}


def test_chosen_files_of_an_installed_package_that_has_no_such_folder_are_not_there(tmp_path: Path) -> None:
    place = {"kind": "installed", "package": "music21", "version": "10.5.1", "path": "music21/no_corpus"}
    with pytest.raises(UnavailableError, match=r"music21 does not carry music21/no_corpus; version 10\.5\.1 does"):
        brought(file({**place, "include": ["*.abc"]}), tmp_path)


# --- tables


def test_the_list_of_caltech_pictures_is_made_again_byte_for_byte(course: Path) -> None:
    made = derived_tables.caltech101_nonfaces(course / "caltech101/caltech101_nonfaces.tar")

    assert made.encode() == (course / "caltech101/caltech101_nonfaces.csv").read_bytes()


def test_the_fairface_labels_are_made_again_byte_for_byte(tmp_path: Path, course: Path) -> None:
    """From label files as upstream writes them: other pictures too, other order, a "fairface/" in front of names."""
    rows = [line.split(",") for line in (course / "fairface/fairface_labels.csv").read_text().splitlines()[1:]]
    for split in ("train", "val"):
        labels = [f"fairface/{row[0]},{','.join(row[2:6])}" for row in reversed(rows) if row[1] == split]
        labels.append(f"fairface/{split}/99999.jpg,0-2,Male,White,True")
        text = "\n".join(["file,age,gender,race,service_test", *labels])
        (tmp_path / f"{split}.csv").write_text(text, encoding="utf-8")

    made = derived_tables.fairface_labels(
        course / "fairface/fairface_train_10k.tar",
        course / "fairface/fairface_val_5k.tar",
        tmp_path / "train.csv",
        tmp_path / "val.csv",
    )

    assert made.encode() == (course / "fairface/fairface_labels.csv").read_bytes()


def test_a_table_waits_for_what_it_is_made_from(tmp_path: Path) -> None:
    place = {"kind": "table", "table": "caltech101_nonfaces", "inputs": ["caltech101/caltech101_nonfaces.tar"]}

    with pytest.raises(UnavailableError, match=r"made from caltech101/caltech101_nonfaces\.tar"):
        brought(file(place), tmp_path)


def test_a_table_is_brought_like_any_file(tmp_path: Path, course: Path) -> None:
    source = next(source for source in declared() if source.path == "caltech101/caltech101_nonfaces.csv")
    photographs = tmp_path / raw_folder("faces", "course") / "caltech101"
    photographs.mkdir(parents=True)
    (photographs / "caltech101_nonfaces.tar").symlink_to(course / "caltech101/caltech101_nonfaces.tar")

    assert brought(source, tmp_path) == "table caltech101_nonfaces"


# --- the declarations


def test_the_declared_files_of_every_dataset_are_what_its_entry_in_data_dvc_pins() -> None:
    pinned = {out["path"]: out for out in yaml.safe_load((PROJECT / "data.dvc").read_text())["outs"]}
    found = {
        raw_folder(name, profile).as_posix(): files
        for name in sorted({*DATASETS, *(source.dataset for source in declared())})
        for profile in PROFILES
        if (files := select(declared(), name, profile))
    }

    assert found.keys() == pinned.keys()
    for folder, files in found.items():
        entry = pinned[folder]
        assert (entry["nfiles"], entry["size"]) == (len(files), sum(file.bytes for file in files)), folder


def test_every_declared_file_is_of_a_dataset_or_of_weights_that_a_lab_starts_from() -> None:
    weights = {name for lab in map(find, LABS) for name in lab.pretrained}

    assert {source.dataset for source in declared()} == {*DATASETS, *weights} - set(declared_packages())
    assert set(declared_packages()) <= set(DATASETS)


def test_tables_come_after_what_they_are_made_from() -> None:
    tables = 0
    for name in DATASETS:
        seen: set[str] = set()
        for source in select(declared(), name, "course"):
            for place in source.places:
                if place.kind == "table":
                    assert set(place.inputs) <= seen
                    tables += 1
            seen.add(source.path)
    assert tables == 2


def test_files_that_one_place_has_come_before_files_that_several_have() -> None:
    for name in DATASETS:
        files = select(declared(), name, "course")
        counts = [len(source.places) for source in files if source.places[0].kind != "table"]
        assert counts == sorted(counts)


def test_a_dataset_without_a_starter_profile_is_in_the_package_index_whole_or_has_nothing_there() -> None:
    """The index is where a starter profile comes from: it has all of music and environments, and no text in a style."""
    indexed = {
        name
        for name in DATASETS
        if name in declared_packages()
        or all(
            any(place.kind in ("sdist", "installed") for place in source.places)
            for source in select(declared(), name, "course")
        )
    }

    assert indexed == {"music", *declared_packages()}
    assert {name for name in DATASETS if not select(declared(), name, "starter")} == {*indexed, "styles"}


def test_upstream_addresses_are_pinned_to_a_commit() -> None:
    for source in declared():
        for place in source.places:
            if place.kind == "file":
                assert any(len(part) == 40 for part in place.url.split("/")), place.url


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ('path = "irish.abc"', 'path = "../irish.abc"', "relative path"),
        ("[[file]]", "[[file", "not TOML"),
        ('dataset = "music"', 'datasett = "music"', "dataset"),
        ("train-labels-idx1", "train-images-idx3", "declared twice"),
        ('kind = "git"', 'kind = "svn"', r"file\.\d+\.from"),
    ],
)
def test_a_wrong_declaration_is_one_line(tmp_path: Path, old: str, new: str, reason: str) -> None:
    path = tmp_path / "sources.toml"
    path.write_text(SOURCES.read_text().replace(old, new))

    with pytest.raises(UserError, match=reason) as error:
        declared(path)

    assert "\n" not in str(error.value)


def test_the_tars_that_are_downloaded_can_be_read(course: Path) -> None:
    assert sum(1 for _ in read_tar(course / "fairface/fairface_val_5k.tar")) == 5000
