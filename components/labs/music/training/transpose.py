"""Moving a tune in ABC notation to another key.

Every interval is named as musicians name it, by letters and semitones (a fifth is 4 letters, 7 semitones), because that
is what makes transposition exact on paper: the letters of a tune move together, the key signature moves with them, and
only written accidentals have to be worked out again. So moving up and back down gives the same text.
"""

import re
from functools import lru_cache
from typing import NamedTuple

LETTERS = "CDEFGAB"
NATURAL = (0, 2, 4, 5, 7, 9, 11)  # semitones of LETTERS above C
SHARPS = "FCGDAEB"  # the order in which a key signature sharpens; flattening runs backwards
# Fifths above the major key of the same tonic: D Dorian has two sharps fewer than D Major.
MODES = {"lyd": 1, "maj": 0, "ion": 0, "": 0, "mix": -1, "dor": -2, "min": -3, "aeo": -3, "m": -3, "phr": -4, "loc": -5}
ACCIDENTALS = {"__": -2, "_": -1, "=": 0, "^": 1, "^^": 2}
SYMBOLS = {alteration: symbol for symbol, alteration in ACCIDENTALS.items()}

KEY = re.compile(r"(?P<letter>[A-G])(?P<sign>[#b]?)(?P<space> *)(?P<mode>[A-Za-z]*)")
CHORD = re.compile(r"(?P<root>[A-G][#b]?)(?P<kind>(?:m|maj|min|dim|aug|sus|add|\+|\d)*)(?:/(?P<bass>[A-G][#b]?))?")
# A field on a line of its own, an inline field, quoted text, a comment, or a note. The lookahead lets a line of music
# begin with a note and a repeat sign, as in "D:|".
TOKEN = re.compile(
    r"(?m:^)(?P<field>[A-Za-z]:)(?![|:])(?P<value>[^\n]*)"
    r"|\[(?P<inline>[A-Za-z]:)(?P<inlined>[^\]\n]*)\]"
    r'|"(?P<quoted>[^"\n]*)"'
    r"|%[^\n]*"
    r"|(?P<accidental>\^{1,2}|_{1,2}|=)?(?P<note>[A-Ga-g])(?P<octave>[,']*)"
)


class Interval(NamedTuple):
    """How far to move; negative is down. `letters` counts steps of the staff, 7 to the octave."""

    letters: int
    semitones: int


class TranspositionError(ValueError):
    """The tune cannot be written in the key asked for (or has no key that is understood)."""


def is_key(text: str) -> bool:
    """Whether the value of a K: field is a key that is understood here, such as "D Mixolydian" or "Bm"."""
    match = KEY.match(text)
    return match is not None and _mode(match) in MODES


def tonic(key: str) -> tuple[int, int]:
    """(letter 0-6 from C, alteration in semitones) of the tonic of a key such as "F# Minor"."""
    match = _key(key)
    return LETTERS.index(match["letter"]), {"": 0, "#": 1, "b": -1}[match["sign"]]


def mode(key: str) -> str:
    """A key's mode, one of MODES, by one name each: "maj" and "min" for major and minor."""
    written = _mode(_key(key))
    return {"": "maj", "ion": "maj", "m": "min", "aeo": "min"}.get(written, written)


@lru_cache(maxsize=256)
def signature(key: str) -> tuple[int, ...]:
    """Alteration of each of CDEFGAB, in semitones, under a key."""
    letter, alteration = tonic(key)
    fifths = SHARPS.index(LETTERS[letter]) - 1 + 7 * alteration + MODES[mode(key)]
    altered = [0] * 7
    for position in range(abs(fifths)):
        name = SHARPS[position % 7] if fifths > 0 else SHARPS[-1 - position % 7]
        altered[LETTERS.index(name)] += 1 if fifths > 0 else -1
    return tuple(altered)


def between(source: str, target: str) -> tuple[Interval, Interval]:
    """The intervals up and down from the tonic of one key to that of another, each within an octave."""
    (start, start_sign), (end, end_sign) = tonic(source), tonic(target)
    semitones = NATURAL[end] + end_sign - NATURAL[start] - start_sign
    octaves = 1 if (end, end_sign) < (start, start_sign) else 0
    up = Interval(end - start + 7 * octaves, semitones + 12 * octaves)
    return up, Interval(up.letters - 7, up.semitones - 12)


def transpose(tune: str, by: Interval) -> str:
    """The tune with every key, note and chord symbol moved by an interval; everything else stays as written.

    Raises TranspositionError where a key would need more than seven sharps or flats, or a note a triple accidental.
    """
    return _Transposer(by).run(tune)


def pitches(tune: str) -> list[int]:
    """Pitch of every note in semitones above the C of "C" (middle C is 0), key and bar accidentals applied.

    An accidental holds to the end of its bar for its own letter and octave.
    """
    key: tuple[int, ...] = (0,) * 7
    bar: dict[int, int] = {}
    found, start = [], 0
    for match in TOKEN.finditer(tune):
        if "|" in tune[start : match.start()]:
            bar = {}
        start = match.end()
        named = match["value"] if match["field"] == "K:" else match["inlined"] if match["inline"] == "K:" else None
        if named is not None:
            key, bar = signature(named.strip()), {}
        elif match["note"]:
            staff = _staff(match["note"], match["octave"])
            if match["accidental"]:
                bar[staff] = ACCIDENTALS[match["accidental"]]
            found.append(12 * (staff // 7) + NATURAL[staff % 7] + bar.get(staff, key[staff % 7]))
    return found


def _key(key: str) -> re.Match[str]:
    match = KEY.match(key)
    if match is None or _mode(match) not in MODES:
        raise TranspositionError(f"unknown key {key!r}")
    return match


def _mode(key: re.Match[str]) -> str:
    return key["mode"].lower()[:3]


def _staff(note: str, octave: str) -> int:
    """Line or space of the staff, counted from the C below it: C is 0, c is 7, C, is -7."""
    return LETTERS.index(note.upper()) + 7 * (note.islower() + octave.count("'") - octave.count(","))


def _spell(staff: int) -> str:
    """The inverse of _staff."""
    octave, letter = divmod(staff, 7)
    return LETTERS[letter] + "," * -octave if octave < 1 else LETTERS[letter].lower() + "'" * (octave - 1)


class _Transposer:
    """One pass over one tune: remembers the key that the notes are written in."""

    def __init__(self, by: Interval) -> None:
        self.by = by
        self.before: tuple[int, ...] = (0,) * 7
        self.after: tuple[int, ...] = (0,) * 7

    def run(self, tune: str) -> str:
        return TOKEN.sub(self._token, tune)

    def _token(self, match: re.Match[str]) -> str:
        if match["field"] == "K:":
            return "K:" + self._rekey(match["value"])
        if match["inline"] == "K:":
            return f"[K:{self._rekey(match['inlined'])}]"
        if match["quoted"] is not None:
            return f'"{self._chord(match["quoted"])}"'
        if match["note"]:
            return self._note(match["accidental"], match["note"], match["octave"])
        return match[0]

    def _rekey(self, value: str) -> str:
        key = value.lstrip()
        found = _key(key)
        moved = self._name(found["letter"] + found["sign"]) + found["space"] + found["mode"]
        self.before, self.after = signature(found[0]), signature(moved)
        if max(map(abs, self.after)) > 1:
            raise TranspositionError(f"{found[0]} moved by {self.by} is {moved}, which has double accidentals")
        return value[: len(value) - len(key)] + moved + key[found.end() :]

    def _note(self, accidental: str | None, note: str, octave: str) -> str:
        staff = _staff(note, octave)
        moved = staff + self.by.letters
        if accidental is None:
            return _spell(moved)
        # What is written relative to the key is what stays: a sharpened seventh is one in every key.
        altered = ACCIDENTALS[accidental] - self.before[staff % 7] + self.after[moved % 7]
        if altered not in SYMBOLS:
            raise TranspositionError(f"{accidental}{note} moved by {self.by} needs {altered:+d} semitones")
        return SYMBOLS[altered] + _spell(moved)

    def _chord(self, text: str) -> str:
        chord = CHORD.fullmatch(text)
        if chord is None:  # a remark, such as "Refrain"
            return text
        return self._name(chord["root"]) + chord["kind"] + (f"/{self._name(chord['bass'])}" if chord["bass"] else "")

    def _name(self, name: str) -> str:
        """A note name such as F# moved by the interval."""
        letter = LETTERS.index(name[0])
        octaves, moved = divmod(letter + self.by.letters, 7)
        pitch = NATURAL[letter] + {"": 0, "#": 1, "b": -1}[name[1:]] + self.by.semitones
        altered = pitch - 12 * octaves - NATURAL[moved]
        if abs(altered) > 1:
            raise TranspositionError(f"{name} moved by {self.by} needs {altered:+d} semitones")
        return LETTERS[moved] + {-1: "b", 0: "", 1: "#"}[altered]
