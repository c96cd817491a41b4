"""The prepared tunes, and how they are set apart in the text of a file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from components.errors import UserError

SPLITS = ("train", "validation", "test")
TUNE_START = "\n"
"""What stands before a tune's first character, in the text that the model reads and writes."""
TUNE_END = "\n\n"
"""What stands after its last one: an empty line parts the tunes of an ABC file."""


def read_tunes(prepared: Path) -> list[dict[str, Any]]:
    """The prepared tunes: id, split, collection ("" for the lab's own), text, line, form ("" where codes say none).

    Raises UserError when prepare has not run, or its file is damaged.
    """
    path = prepared / "tunes.jsonl"
    try:
        return [_tune(json.loads(line)) for line in path.read_text(encoding="utf-8").split("\n") if line]
    except FileNotFoundError:
        raise UserError(f"{path} is missing: run the step prepare first") from None
    except ValueError as error:
        raise UserError(f"{path} is damaged ({error}): run the step prepare again") from None


def read_texts(prepared: Path, split: str) -> list[str]:
    """Texts of the lab's own tunes of a split: "train", "validation" or "test". Raises as `read_tunes` does."""
    return [tune["text"] for tune in read_tunes(prepared) if tune["split"] == split and not tune["collection"]]


def read_added(prepared: Path) -> list[str]:
    """Texts of the training tunes that are of printed collections. Raises UserError as `read_tunes` does."""
    return [tune["text"] for tune in read_tunes(prepared) if tune["collection"]]


def read_forms(prepared: Path) -> dict[str, str]:
    """The line of the form of each training tune that has one which codes say, by its text. Raises as `read_tunes`."""
    return {tune["text"]: tune["form"] for tune in read_tunes(prepared) if tune["split"] == "train" and tune["form"]}


def _tune(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict) or not {"id", "split", "collection", "text", "line", "form"} <= value.keys():
        raise ValueError("a line is not a tune")
    return value
