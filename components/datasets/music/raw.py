"""The raw file of ABC tunes."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from components.errors import UserError

if TYPE_CHECKING:
    pass


FILE = Path("irish.abc")

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
