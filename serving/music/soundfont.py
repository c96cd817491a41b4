"""One instrument of a SoundFont 2 file, played note by note with numpy.

Written here because the libraries with wheels do not do: symusic's synthesiser plays this font's violin 31 cents flat,
never lets a plucked string fade and gave NaN for a whistle; tinysoundfont needs portaudio to build. Notes come from the
recorded samples with their loops, tuning and volume envelope; filters, modulators and stereo are left out.
Format: SoundFont technical specification 2.04, sections 5 to 8.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Audio = NDArray[np.float32]
Generators = dict[int, int]

_BAG = [("generator", "<u2"), ("modulator", "<u2")]
_GENERATOR = [("operator", "<u2"), ("amount", "<i2")]
_TABLES: dict[bytes, list[tuple[str, str]]] = {
    b"phdr": [("name", "S20"), ("preset", "<u2"), ("bank", "<u2"), ("bag", "<u2"), ("unused", "S12")],
    b"pbag": _BAG,
    b"pgen": _GENERATOR,
    b"inst": [("name", "S20"), ("bag", "<u2")],
    b"ibag": _BAG,
    b"igen": _GENERATOR,
    b"shdr": [
        ("name", "S20"),
        *((name, "<u4") for name in ("start", "end", "loop_start", "loop_end", "rate")),
        ("pitch", "u1"),
        ("correction", "i1"),
        ("unused", "S4"),
    ],
}

# Generator operators, section 8.1.2; envelope times are in timecents (1200 * log2 of seconds).
_ATTACK, _HOLD, _DECAY, _SUSTAIN, _RELEASE = 34, 35, 36, 37, 38
_INSTRUMENT, _KEYS, _ATTENUATION, _COARSE, _FINE, _SAMPLE, _MODES, _ROOT = 41, 43, 48, 51, 52, 53, 54, 58
_INSTANT = -12000  # timecents: 1 ms


class _Zone(NamedTuple):
    """One sample and how it is played, for the keys `low` to `high`."""

    low: int
    high: int
    generators: Generators
    sample: Any  # a row of shdr


@dataclass(frozen=True)
class Instrument:
    """A preset of the font, bank 0."""

    zones: tuple[_Zone, ...]
    samples: NDArray[np.int16]

    def note(self, pitch: int, seconds: float, sample_rate: int) -> Audio:
        """The sound of one key held for `seconds`, with the release after it. Values are about -1 to 1."""
        zone = min(self.zones, key=lambda zone: max(zone.low - pitch, pitch - zone.high, 0))
        get = zone.generators.get
        release = min(_seconds(get(_RELEASE, _INSTANT)), 0.6)  # longer ones smear a fast tune
        count = int((seconds + release) * sample_rate)
        wave = self._wave(zone, pitch, count, sample_rate)
        times = np.arange(len(wave), dtype=np.float32) / np.float32(sample_rate)
        gain = 10 ** (-0.4 * get(_ATTENUATION, 0) / 200)  # centibels; 0.4 as the chips that fonts were made for
        return np.asarray(gain * wave * _envelope(zone.generators, times, seconds, release), dtype=np.float32)

    def _wave(self, zone: _Zone, pitch: int, count: int, sample_rate: int) -> Audio:
        """The sample read at the speed that gives the pitch; looped where the font says so, else shorter than count."""
        sample, get = zone.sample, zone.generators.get
        root = get(_ROOT, -1) if get(_ROOT, -1) >= 0 else int(sample["pitch"])
        cents = 100 * (pitch - root + get(_COARSE, 0)) + get(_FINE, 0) + int(sample["correction"])
        step = float(sample["rate"]) / sample_rate * 2 ** (cents / 1200)
        start, end = int(sample["start"]), int(sample["end"])
        position = np.arange(count) * step
        loop_start, loop_end = int(sample["loop_start"]) - start, int(sample["loop_end"]) - start
        if get(_MODES, 0) & 1 and loop_end > loop_start:
            late = position >= loop_end
            position[late] = loop_start + (position[late] - loop_start) % (loop_end - loop_start)
        else:
            position = position[position < end - start - 1]
        index = position.astype(np.int64)
        fraction = (position - index).astype(np.float32)
        here, after = (self.samples[start + index + offset].astype(np.float32) for offset in (0, 1))
        return (here + fraction * (after - here)) / np.float32(32768)


def load(path: Path, program: int) -> Instrument:
    """Reads the General MIDI `program` (0 to 127). Raises ValueError if the file is no SoundFont or lacks it."""
    data = path.read_bytes()
    chunks = dict(_chunks(data))
    if not {b"smpl", *_TABLES} <= chunks.keys():
        raise ValueError(f"{path} is not a SoundFont 2 file")
    tables = {name: np.frombuffer(chunks[name], dtype=fields) for name, fields in _TABLES.items()}
    presets = tables[b"phdr"]
    found = np.flatnonzero((presets["preset"] == program) & (presets["bank"] == 0) & (presets["name"] != b"EOP"))
    if not len(found):
        raise ValueError(f"{path} has no program {program}")
    zones = tuple(_zones(tables, int(found[0])))
    return Instrument(zones, np.frombuffer(chunks[b"smpl"], dtype="<i2"))


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The leaf chunks of a RIFF file: (name, content)."""
    position = 12
    while position + 8 <= len(data):
        name, size = data[position : position + 4], int.from_bytes(data[position + 4 : position + 8], "little")
        if name == b"LIST":
            position += 12
            continue
        yield name, data[position + 8 : position + 8 + size]
        position += 8 + size + size % 2


def _zones(tables: dict[bytes, Any], preset: int) -> Iterator[_Zone]:
    """The preset's generators add to its instruments'; a first zone that names nothing is the default of the others."""
    for outer in _bags(tables[b"phdr"], tables[b"pbag"], tables[b"pgen"], preset, _INSTRUMENT):
        for inner in _bags(tables[b"inst"], tables[b"ibag"], tables[b"igen"], outer[_INSTRUMENT], _SAMPLE):
            (low, high), (lowest, highest) = _keys(inner), _keys(outer)
            added = {key: inner.get(key, 0) + outer[key] for key in (_COARSE, _FINE, _ATTENUATION) if key in outer}
            yield _Zone(max(low, lowest), min(high, highest), inner | added, tables[b"shdr"][inner[_SAMPLE]])


def _bags(owners: Any, bags: Any, generators: Any, owner: int, target: int) -> Iterator[Generators]:
    default: Generators = {}
    for bag in range(owners["bag"][owner], owners["bag"][owner + 1]):
        rows = generators[bags["generator"][bag] : bags["generator"][bag + 1]]
        zone = default | {int(row["operator"]): int(row["amount"]) for row in rows}
        if target in zone:
            yield zone
        elif not default:
            default = zone


def _keys(zone: Generators) -> tuple[int, int]:
    both = zone.get(_KEYS, 127 << 8)
    return both & 0xFF, both >> 8 & 0xFF


def _seconds(timecents: int) -> float:
    return float(2 ** (timecents / 1200))


def _envelope(generators: Generators, times: Audio, held: float, release: float) -> Audio:
    """Gain over `times`: linear attack, hold, then decay and release in decibels, as section 8.1.2 has it."""
    attack, hold, decay = (_seconds(generators.get(key, _INSTANT)) for key in (_ATTACK, _HOLD, _DECAY))
    sustain = min(max(generators.get(_SUSTAIN, 0) / 10, 0), 100)  # decibels below the peak
    decibels = np.clip((times - attack - hold) / decay * 100, 0, sustain)
    decibels += np.clip((times - held) / release, 0, 1) * 100
    return np.asarray(np.clip(times / attack, 0, 1) * 10 ** (-decibels / 20), dtype=np.float32)
