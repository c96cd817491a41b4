"""From the raw file to prepared tunes and tables about them."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.datasets import find_dataset
from components.datasets.music.params import MusicDatasetParams
from components.datasets.music.prepare import prepare
from components.datasets.music.raw import FILE, Block, read_blocks
from components.datasets.music.reader import SPLITS, read_tunes
from components.errors import UserError
from tests.music_data import ALL, RAW, raw_folder, real_tunes

MUSIC = find_dataset("music")
SOME = "\n\n".join(real_tunes()[:80]) + "\n"


def run(raw: Path, out: Path, params: MusicDatasetParams = ALL) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    out.mkdir(exist_ok=True)
    report = prepare(raw, out, params)
    return read_tunes(out), report


def test_the_real_tunes_are_split_by_content_and_fragments_dropped(tmp_path: Path) -> None:
    tunes, report = run(RAW, tmp_path)
    assert report["splits"] == {"train": 630, "validation": 86, "test": 88}
    assert report["dropped"]["headerless"]["lines"] == [246, 7189]
    assert report["dropped"]["duplicate"]["count"] == 0
    assert sum(report["types"].values()) == 804
    assert len(json.loads((tmp_path / "vocabulary.json").read_text())) == 83
    assert json.loads((tmp_path / "report.json").read_text()) == report
    lines = (RAW / FILE).read_text().split("\n")
    for tune in tunes:
        assert lines[tune["line"] - 1] == tune["text"].split("\n")[0]
        assert hashlib.sha256(tune["text"].encode()).hexdigest().startswith(tune["id"])
        assert {0: "test", 1: "validation"}.get(int(tune["id"][:2], 16) % 10, "train") == tune["split"]


def test_preparing_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one", "two"):
        run(RAW, tmp_path / name)
    for file in ("tunes.jsonl", "vocabulary.json", "report.json"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()


@pytest.mark.parametrize("limit", [1, 3, 60, 803, 10_000])
def test_a_limit_takes_some_of_every_split_and_moves_none(tmp_path: Path, limit: int) -> None:
    every, _ = run(RAW, tmp_path / "all")
    some, report = run(RAW, tmp_path / "some", ALL.model_copy(update={"limit": limit}))
    assert all(tune in every for tune in some)
    assert {tune["split"] for tune in some} == set(SPLITS)
    assert abs(len(some) - min(limit, 804)) <= 2
    assert report["dropped"]["limit"]["count"] == 804 - len(some)


def test_duplicates_and_fragments_are_dropped_with_their_lines(tmp_path: Path) -> None:
    first = real_tunes()[0]
    raw = raw_folder(tmp_path / "raw", f"{SOME}\n  {first}  \n\nABc|def|\n")
    tunes, report = run(raw, tmp_path / "out")
    lines = len(SOME.split("\n"))
    assert report["dropped"]["duplicate"]["lines"] == [lines + 1]
    assert report["dropped"]["headerless"]["lines"][-1] == lines + 3 + first.count("\n")
    assert sum(tune["text"] == first for tune in tunes) == 1


def test_line_ends_of_windows_change_nothing(tmp_path: Path) -> None:
    unix, _ = run(raw_folder(tmp_path / "unix", SOME), tmp_path / "a")
    windows, _ = run(raw_folder(tmp_path / "windows", SOME.replace("\n", "\r\n")), tmp_path / "b")
    assert unix == windows


@pytest.mark.parametrize(
    ("content", "line", "complaint"),
    [
        ("", 1, "the file is empty"),
        (" \n\n\n", 1, "the file is empty"),
        (f"{SOME}\nX\n", SOME.count("\n") + 2, "a tune of one character, 'X'"),
        ("a poem\n\nand another\n", 1, "no tune in the file"),
        (b"X:1\nT:caf\xe9\nK:C\nabc|\n", 2, "not UTF-8 text"),
        (b"X:1\nK:C\nabc|\n\x00\x01\x02", 4, "the control character '\\x00'"),
        (b"\x89PNG\r\n\x1a\n\x00\x00", 1, "not UTF-8 text"),
    ],
)
def test_what_is_not_a_file_of_tunes_is_refused_by_line(
    tmp_path: Path, content: str | bytes, line: int, complaint: str
) -> None:
    raw = raw_folder(tmp_path, content)
    with pytest.raises(UserError) as caught:
        prepare(raw, tmp_path, ALL)
    assert f"{raw / FILE}, line {line}: {complaint}" in str(caught.value)
    assert not (tmp_path / "tunes.jsonl").exists()


def test_a_missing_file_and_too_few_tunes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"irish\.abc: No such file"):
        prepare(tmp_path, tmp_path, ALL)
    with pytest.raises(UserError, match="none of its 1 tunes falls in the split"):
        prepare(raw_folder(tmp_path, real_tunes()[0]), tmp_path, ALL)


@given(st.lists(st.text(st.characters(exclude_categories=["C", "Z"]), min_size=2), min_size=1, max_size=9))
def test_blocks_come_back_as_they_were_put_in(texts: list[str]) -> None:
    blocks = read_blocks("\n \n\n".join(["X:1", *texts]), Path("tunes.abc"))
    assert blocks == [Block(text, 1 + 3 * index) for index, text in enumerate(["X:1", *texts])]


def test_tables_say_where_each_block_went(tmp_path: Path) -> None:
    raw = raw_folder(tmp_path / "raw", f"{SOME}\n{real_tunes()[0]}\n\nABc|def|\n")
    run(raw, tmp_path / "out", ALL.model_copy(update={"limit": 40}))
    tables = MUSIC.tables(raw, tmp_path / "out")
    assert set(tables["raw"].fate) == {*SPLITS, "limit", "headerless", "duplicate"}
    assert len(tables["prepared"]) == len(read_tunes(tmp_path / "out"))

    path = tmp_path / "out" / "tunes.jsonl"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[1:]))
    assert (MUSIC.tables(raw, tmp_path / "out")["raw"].fate == "lost").sum() == 1


def test_tables_show_the_same_notes_in_two_splits_under_another_header(tmp_path: Path) -> None:
    run(raw_folder(tmp_path / "raw", SOME), tmp_path / "out")
    tune = read_tunes(tmp_path / "out")[0]
    other = {**tune, "id": "0" * 16, "split": "test", "text": tune["text"].replace("T:", "T:The Other ")}
    with (tmp_path / "out" / "tunes.jsonl").open("a") as file:
        file.write(json.dumps(other) + "\n")
    table = MUSIC.tables(tmp_path / "raw", tmp_path / "out")["prepared"]
    assert set(table[table.music_in_splits > 1].id) == {tune["id"], other["id"]}
    assert (table.copies == 1).all()


def test_tables_before_prepare_ask_for_it(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="run the step prepare first"):
        MUSIC.tables(RAW, tmp_path)


@pytest.mark.parametrize("line", ["{", "[]", '{"id": 1}', "\x00"])
def test_a_damaged_file_of_prepared_tunes_is_one_line(tmp_path: Path, line: str) -> None:
    (tmp_path / "tunes.jsonl").write_text(line + "\n")
    with pytest.raises(UserError, match=r"tunes.jsonl is damaged .*: run the step prepare again"):
        read_tunes(tmp_path)
