"""From a file of ABC tunes to prepared tunes: split by content, without fragments and duplicates."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.datasets.music.abc_notation import parse_tune
from components.datasets.music.added_tunes import add_tunes
from components.datasets.music.form import coded_form
from components.datasets.music.form_reader import CODES
from components.datasets.music.params import MusicDatasetParams
from components.datasets.music.raw import FILE, Block, read_blocks, read_text
from components.datasets.music.reader import SPLITS
from components.errors import UserError
from components.files import write_json, write_text

if TYPE_CHECKING:
    pass

RULES = {
    "duplicate": "the same text as an earlier tune",
    "headerless": "no X: field: a fragment whose header is lost",
    "limit": "beyond the parameter datasets.music.limit",
}
"""Why a tune may be dropped."""


def prepare(raw: Path, out: Path, params: MusicDatasetParams) -> dict[str, Any]:
    """Writes tunes.jsonl, vocabulary.json and report.json into `out`; returns the report.

    Raises UserError naming the file and the line where it is not tunes.
    """
    path = raw / FILE
    text = read_text(path)
    blocks = read_blocks(text, path)
    kept, dropped = _select(blocks, params.limit)
    for split in SPLITS:
        if not any(block.split == split for block in kept):
            raise UserError(f"{path}: none of its {len(kept)} tunes falls in the split '{split}'; add tunes")

    rows = [_row(block, "", block.line) for block in kept]
    added: dict[str, Any] = {}
    if params.collections:
        own = {split: {block.id: block.text for block in kept if block.split == split} for split in SPLITS}
        tunes, added = add_tunes(raw, params, own, set(text))
        rows += [_row(Block(tune.text, 0), tune.printed.collection, tune.printed.place) for tune in tunes]
    write_text(out / "tunes.jsonl", "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    write_json(out / "vocabulary.json", sorted(CODES.union(text)))
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
        "collections": added,
    }
    write_json(out / "report.json", report)
    return report


def _row(block: Block, collection: str, line: int | str) -> dict[str, Any]:
    """collection: "" for the lab's own. line: where the tune starts, in a collection with its file."""
    split = "train" if collection else block.split
    form = coded_form(parse_tune(block.text), block.text)
    row = {"id": block.id, "split": split, "collection": collection, "text": block.text, "line": line}
    return row | {"form": form.line if form else ""}


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
