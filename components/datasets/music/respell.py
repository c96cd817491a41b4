"""Standard ABC in the collection's dialect, for a model that has read no other."""

import re

from components.datasets.music.abc_parser import Reader
from components.datasets.music.abc_standard import StandardReader
from components.datasets.music.standard_fields import plain_key
from components.datasets.music.standard_lines import Line, tune_line


def respelled(music: str, header: str) -> str:
    """The same music in the collection's dialect; unchanged where it is in it already.

    music: lines after K:, the last of which may be incomplete. header: the lines before, for the metre and the unit.
    """
    if not _is_foreign(music, header):
        return music
    reader = StandardReader()
    reader.read_lines([tune_line(number, line, body=False) for number, line in enumerate(header.splitlines(), 1)])
    reader.in_header = False
    text = ""
    lines = music.split("\n")
    for number, line in enumerate(lines, start=1):
        written = "" if line.startswith("%") else _written(tune_line(number, line, body=True), reader)
        goes_on = line.split("%")[0].rstrip().endswith("\\")
        text += written if not written or goes_on or number == len(lines) else f"{written}\n"
    return text


def refusals(text: str) -> list[str]:
    """What in a beginning of a tune is ABC that cannot be read here, such as a second voice; its end may be missing."""
    reader = StandardReader()
    body, lines = False, []
    for number, line in enumerate(text.split("\n"), start=1):
        if line.startswith("%"):
            continue
        lines.append(tune_line(number, line, body=body))
        body = body or lines[-1].letter in ("", "K")
    reader.read_lines(lines)
    return reader.refusals


def _is_foreign(music: str, header: str) -> bool:
    reader = Reader()
    for number, line in enumerate(header.splitlines(), 1):
        field = tune_line(number, line, body=False)
        reader.read_field(field.letter, field.text)
    reader.faults.clear()
    for number, line in enumerate(music.split("\n"), 1):
        reader.read_line(line, number)
    return bool(reader.faults) or "%" in music


def _written(line: Line, reader: StandardReader) -> str:
    """A line in the collection's dialect; "" for one that says nothing about the notes."""
    if not line.letter:
        reader.kept.clear()
        reader.read_music(line.text)
        return "".join(map(_token, reader.kept)).strip()
    reader.read_field(line.letter, line.text)
    return _plain_field(line.letter, line.text)


def _token(token: str) -> str:
    if re.match(r"\[[A-Za-z]:", token):
        field = _plain_field(token[1], token[3:-1].strip())
        return f"[{field}]" if field else ""
    return token.replace("x", "z")


def _plain_field(letter: str, value: str) -> str:
    if letter == "K":
        return f"K:{plain_key(value) or value}"
    return f"{letter}:{value}" if letter in "LM" else ""
