"""From a file of ABC tunes to prepared tunes: split by content, without fragments and duplicates."""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from components.datasets.music.abc_notation import parse_tune
from components.errors import UserError
from components.files import read_json, write_json, write_text
from components.labs.music.params import Prepare

if TYPE_CHECKING:
    import pandas as pd

FILE = Path("music", "irish.abc")
SPLITS = ("train", "validation", "test")
RULES = {
    "duplicate": "the same text as an earlier tune",
    "headerless": "no X: field: a fragment whose header is lost",
    "limit": "beyond the parameter prepare.music.limit",
}
"""Why a tune may be dropped."""

# Everything below a space but line feed and tab, and the mark of a character that was not UTF-8.
_NOT_TEXT = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")


class Block(NamedTuple):
    """What stands between two empty lines of the raw file."""

    text: str
    line: int
    """Where it starts, from 1."""

    @property
    def id(self) -> str:
        return self._sha256[:16]

    @property
    def split(self) -> str:
        """By content, so that anyone can compare: a tenth is test, a tenth validation, whatever else is added."""
        return {0: "test", 1: "validation"}.get(int(self._sha256[:2], 16) % 10, "train")

    @property
    def _sha256(self) -> str:
        return hashlib.sha256(self.text.encode()).hexdigest()


def prepare(raw: Path, out: Path, params: Prepare) -> dict[str, Any]:
    """Writes tunes.jsonl, vocabulary.json and report.json into `out`; returns the report.

    `raw` is the data folder. Raises UserError naming the file and the line where it is not tunes.
    """
    path = raw / FILE
    text = read_text(path)
    blocks = read_blocks(text, path)
    kept, dropped = _select(blocks, params.limit)
    for split in SPLITS:
        if not any(block.split == split for block in kept):
            raise UserError(f"{path}: none of its {len(kept)} tunes falls in the split '{split}'; add tunes")

    rows = [{"id": block.id, "split": block.split, "text": block.text, "line": block.line} for block in kept]
    write_text(out / "tunes.jsonl", "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    write_json(out / "vocabulary.json", sorted(set(text)))
    report = {
        "file": FILE.as_posix(),
        "blocks": len(blocks),
        "tunes": len(kept),
        "splits": {split: sum(block.split == split for block in kept) for split in SPLITS},
        "types": dict(Counter(parse_tune(block.text).type or "unknown" for block in kept)),
        "dropped": {
            rule: {"why": why, "count": len(dropped[rule]), "lines": [block.line for block in dropped[rule]]}
            for rule, why in RULES.items()
        },
    }
    write_json(out / "report.json", report)
    return report


def read_text(path: Path) -> str:
    """The raw file. Raises UserError when it is missing, empty or not text."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}; run the step fetch") from None
    try:
        text = content.decode().replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise UserError(f"{path}, line {line}: not UTF-8 text; is it an ABC file?") from None
    strange = _NOT_TEXT.search(text)
    if strange:
        line = text.count("\n", 0, strange.start()) + 1
        raise UserError(f"{path}, line {line}: the control character {strange[0]!r} is not text; is it an ABC file?")
    if not text.strip():
        raise UserError(f"{path}, line 1: the file is empty; run the step fetch")
    return text


def read_blocks(text: str, path: Path) -> list[Block]:
    """The tunes of a file, without surrounding white space. Raises UserError when there are none."""
    blocks = []
    lines: list[str] = []
    for number, line in enumerate([*text.split("\n"), ""], start=1):
        if line.strip():
            lines.append(line)
        elif lines:
            block = Block("\n".join(lines).strip(), number - len(lines))
            if len(block.text) == 1:
                raise UserError(f"{path}, line {block.line}: a tune of one character, {block.text!r}; mend it")
            blocks.append(block)
            lines = []
    if not any(block.text.startswith("X:") for block in blocks):
        raise UserError(f"{path}, line {blocks[0].line}: no tune in the file (none starts with X:); is it an ABC file?")
    return blocks


def facts(raw: Path, prepared: Path) -> dict[str, pd.DataFrame]:
    """A row per block of the raw file and a row per prepared tune, for validation.

    Faults are columns of 0 and 1, so that a column's sum says how many tunes have the fault. `fate` is where a raw
    block went: its split, the rule that dropped it, or "lost". `music` is a tune without its header.
    """
    import pandas as pd

    path = raw / FILE
    blocks = read_blocks(read_text(path), path)
    tunes = read_tunes(prepared)
    vocabulary = set(read_json(prepared / "vocabulary.json"))
    dropped = read_json(prepared / "report.json")["dropped"]
    fates = {tune["line"]: tune["split"] for tune in tunes}
    fates |= {line: rule for rule, drop in dropped.items() for line in drop["lines"]}

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
            "copies": copies[tune["text"]],
            "music_in_splits": in_splits[_music(tune["text"]) or tune["text"]],
            "unknown_characters": "".join(sorted(set(tune["text"]) - vocabulary)),
            **_describe(tune["text"]),
        }
        for tune in tunes
    ]
    return {"raw": pd.DataFrame(raw_rows), "prepared": pd.DataFrame(prepared_rows)}


def read_tunes(prepared: Path) -> list[dict[str, Any]]:
    """The prepared tunes: id, split, text, line. Raises UserError when prepare has not run, or its file is damaged."""
    path = prepared / "tunes.jsonl"
    try:
        return [_tune(json.loads(line)) for line in path.read_text(encoding="utf-8").split("\n") if line]
    except FileNotFoundError:
        raise UserError(f"{path} is missing: run the step prepare first") from None
    except ValueError as error:
        raise UserError(f"{path} is damaged ({error}): run the step prepare again") from None


def read_texts(prepared: Path, split: str) -> list[str]:
    """Texts of the tunes of a split: "train", "validation" or "test". Raises UserError as `read_tunes` does."""
    return [tune["text"] for tune in read_tunes(prepared) if tune["split"] == split]


def _tune(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict) or not {"id", "split", "text", "line"} <= value.keys():
        raise ValueError("a line is not a tune")
    return value


def _select(blocks: list[Block], limit: int) -> tuple[list[Block], dict[str, list[Block]]]:
    """The blocks to keep, and the others by rule."""
    dropped: dict[str, list[Block]] = {rule: [] for rule in RULES}
    tunes: dict[str, Block] = {}
    for block in blocks:
        if not block.text.startswith("X:"):
            dropped["headerless"].append(block)
        elif block.text in tunes:
            dropped["duplicate"].append(block)
        else:
            tunes[block.text] = block
    if not limit or limit >= len(tunes):
        return list(tunes.values()), dropped
    kept: set[Block] = set()
    for split in SPLITS:
        members = [block for block in tunes.values() if block.split == split]
        wanted = min(len(members), max(1, round(limit * len(members) / len(tunes))))
        # Evenly through the file, which is sorted by type of tune.
        kept.update(members[index * len(members) // wanted] for index in range(wanted))
    dropped["limit"] = [block for block in tunes.values() if block not in kept]
    return [block for block in tunes.values() if block in kept], dropped


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
