"""The lines of one tune in a text of standard ABC 2.1 (chapter 2): comments, continued lines, what stands around it."""

import re
from typing import NamedTuple

_FIELD = re.compile(r"([A-Za-z+]):(?!\|)(.*)")
_BODY_FIELDS = "IKLMmNPQRrsTUVWwHOSZ+"
"""Fields that may stand between lines of music. No note is among them: a line of music may well begin with "A:|"."""
_COMMENT = re.compile(r"(?<!\\)%.*")


class Line(NamedTuple):
    number: int
    """In the text, from 1."""
    letter: str
    """Letter of a field; "%" for a directive (%%), "+" for the continuation of a field, "" for music."""
    text: str
    """The text of the field, the directive or the music, without comments and signs of continuation."""


def tune_lines(text: str) -> tuple[list[Line], list[str]]:
    """The lines of the text's tune, those of a file header before it, and what is wrong around them, in words.

    A text without X: is a tune from its first line on. Text before a tune's X: is passed over, text after a tune is
    refused, because it may be music.
    """
    blocks = _blocks(text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n"))
    tunes = [index for index, block in enumerate(blocks) if any(line.startswith("X:") for _, line in block)]
    first = tunes[0] if tunes else 0
    faults = []
    if len(tunes) > 1:
        faults.append(f"line {blocks[tunes[1]][0][0]}: several tunes: give one at a time")
    elif rest := [block for block in blocks[first + 1 :] if not all(line.startswith("%") for _, line in block)]:
        faults.append(f"line {rest[0][0][0]}: text after an empty line, which ends a tune")
    header = [line for block in blocks[:first] if _is_header(block) for line in block]
    tune = blocks[first] if blocks else []
    if starts := [index for index, (_, line) in enumerate(tune) if line.startswith("X:")]:
        if len(starts) > 1:
            faults.append(f"line {tune[starts[1]][0]}: several tunes: give one at a time")
        if _is_header(tune[: starts[0]]):
            header += tune[: starts[0]]
        elif starts[0]:
            faults.append(f"line {tune[0][0]}: text before X:, which begins a tune")
        tune = tune[starts[0] :]
    lines, unclosed = _lines([*header, *tune])
    return lines, [*faults, *unclosed]


def _blocks(text: str) -> list[list[tuple[int, str]]]:
    """What stands between empty lines: numbers and texts of lines."""
    blocks: list[list[tuple[int, str]]] = [[]]
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            blocks[-1].append((number, line))
        elif blocks[-1]:
            blocks.append([])
    return [block for block in blocks if block]


def _is_header(block: list[tuple[int, str]]) -> bool:
    return all(line.startswith("%") or _FIELD.match(line) for _, line in block)


def _lines(numbered: list[tuple[int, str]]) -> tuple[list[Line], list[str]]:
    lines: list[Line] = []
    inside, started, body = "", 0, False
    for number, raw in numbered:
        if inside or raw.startswith("%%begin"):
            # A block of text or PostScript (11.4): its lines may begin with %% themselves.
            word = (raw.removeprefix("%%").split() or [""])[0]
            started = started or number
            inside = inside or word.removeprefix("begin")
            if word == f"end{inside}":
                inside, started = "", 0
            continue
        if raw.startswith("%"):
            if raw.startswith("%%"):
                lines.append(Line(number, "%", raw[2:].strip()))
            continue
        line = tune_line(number, raw, body=body)
        lines.append(line)
        body = body or line.letter == "K" or not line.letter
    return lines, [f"line {started}: a block %%begin{inside} without its end"] if inside else []


def tune_line(number: int, raw: str, *, body: bool) -> Line:
    """A field or a line of music. body: it stands after K:, where fewer letters are fields."""
    text = _COMMENT.sub("", raw).strip()
    match = _FIELD.match(text)
    if match and (not body or (match[1] in _BODY_FIELDS and not match[2].startswith(":"))):
        return Line(number, match[1], match[2].strip())
    return Line(number, "", text.removesuffix("\\"))
