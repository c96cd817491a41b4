"""Tables of raw and prepared tunes, for validation."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.datasets.music.abc_notation import parse_tune
from components.datasets.music.printed_collections import read_collections
from components.datasets.music.raw import FILE, read_blocks, read_text
from components.datasets.music.reader import read_tunes
from components.files import read_json

if TYPE_CHECKING:
    import pandas as pd


def tables(raw: Path, prepared: Path) -> dict[str, pd.DataFrame]:
    """A row per block of the raw file, per prepared tune and per tune of the printed collections, if there are any.

    Faults are columns of 0 and 1, so that a column's sum says how many tunes have the fault. `fate` is where a raw
    block went: its split, the rule that dropped it, or "lost". `music` is a tune without its header.
    """
    import pandas as pd

    path = raw / FILE
    blocks = read_blocks(read_text(path), path)
    tunes = read_tunes(prepared)
    vocabulary = set(read_json(prepared / "vocabulary.json"))
    report = read_json(prepared / "report.json")
    fates: dict[int | str, str] = {tune["line"]: tune["split"] for tune in tunes}
    fates |= {line: rule for rule, drop in report["dropped"].items() for line in drop["lines"]}

    seen: Counter[str] = Counter()
    raw_rows = []
    for block in blocks:
        music = _music(block.text)
        raw_rows.append(
            {
                "id": block.id,
                "line": block.line,
                "fate": fates.get(block.line, "lost"),
                "repeats_music": int(bool(music) and seen[music] > 0),
                **_describe(block.text),
            }
        )
        seen[music] += 1

    copies = Counter(tune["text"] for tune in tunes)
    splits = {(_music(tune["text"]) or tune["text"], tune["split"]) for tune in tunes}
    in_splits = Counter(music for music, _ in splits)
    prepared_rows = [
        {
            "id": tune["id"],
            "line": tune["line"],
            "split": tune["split"],
            "collection": tune["collection"],
            "origin": "printed" if tune["collection"] else "own",
            "copies": copies[tune["text"]],
            "music_in_splits": in_splits[_music(tune["text"]) or tune["text"]],
            "unknown_characters": "".join(sorted(set(tune["text"]) - vocabulary)),
            **_describe(tune["text"]),
        }
        for tune in tunes
    ]
    tables = {"raw": pd.DataFrame(raw_rows), "prepared": pd.DataFrame(prepared_rows)}
    if report["collections"]:
        tables["collections"] = pd.DataFrame(_printed_rows(raw, report["collections"], fates))
    return tables


def _printed_rows(raw: Path, report: dict[str, Any], fates: dict[int | str, str]) -> list[dict[str, Any]]:
    """A row per tune of the printed collections that were prepared. fates: of the kept tunes, by their place."""
    fates = fates | {place: rule for rule, drop in report["dropped"].items() for place in drop["tunes"]}
    return [
        {"id": tune.place, "line": tune.line, "collection": tune.collection, "fate": fates.get(tune.place, "lost")}
        for tune in read_collections(raw, tuple(report["tunes"]))
    ]


def _music(text: str) -> str:
    """A tune without its header; '' if nothing follows it."""
    return re.split(r"^K:.*\n?", text, maxsplit=1, flags=re.MULTILINE)[-1]


def _describe(text: str) -> dict[str, Any]:
    """What validation asks of one tune, raw or prepared."""
    tune = parse_tune(text)
    wrong_bars = tune.wrong_bars
    return {
        "type": tune.type or None,
        "key": tune.headers.get("K"),
        "metre": tune.headers.get("M"),
        "unit_length": tune.headers.get("L"),
        "length": len(text),
        "alphabet": "".join(sorted(set(text))),
        "bars": len(tune.bars),
        "wrong_bars": len(wrong_bars),
        "headerless": int("X" not in tune.headers),
        "no_notes": int(not tune.notes),
        "unreadable": int(bool(tune.headers and tune.faults)),
        "bars_do_not_add_up": int(bool(wrong_bars)),
        "problem": next(iter(tune.problems), None),
    }
