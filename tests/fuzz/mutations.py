"""Seeded mutations: of bytes, and of the trees that JSON and YAML are.

Radamsa, libFuzzer and AFL do the same to bytes; none of them has a wheel that gives out mutated inputs by a seed.
"""

from __future__ import annotations

import copy
import random
import struct
from collections.abc import Callable, Iterator, Sequence
from typing import Any

INTEGERS = (
    *(0, 1, 2, 7, 8, 16, 63, 64, 100, 127, 128, 255, 256, 1000, 32767, 32768, 65535, 65536),
    *(2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1, 2**64 - 1),
)
"""Where sizes, counts and offsets overflow."""
TEXTS = (
    "",
    " ",
    "0",
    "-1",
    "1e999",
    "nan",
    "\0",
    "\n",
    "\r\n",
    "\ufeff",
    "\u202e",
    "\U0001f3b5",
    "é",
    "%s",
    "{}",
    "../x",
)
VALUES: tuple[Any, ...] = (None, True, False, [], {}, -1, 0.5, -0.0, 1e308, *INTEGERS, *TEXTS, "a" * 5000)
CHANGES = (1, 1, 1, 2, 3, 8)
LONGEST_SPAN = 200
Edit = Callable[[random.Random, bytearray, bytes], None]


def mutated_bytes(draw: random.Random, content: bytes, other: bytes) -> bytes:
    """The content after 1 to 8 edits. other: bytes of the same kind, parts of which may be put in."""
    made = bytearray(content)
    for _ in range(draw.choice(CHANGES)):
        draw.choice(EDITS)(draw, made, other)
    return bytes(made)


def mutated_tree(draw: random.Random, tree: Any) -> Any:
    """A copy in which 1 to 3 places hold another value, are missing, have another name, or hold a part of elsewhere."""
    made = {"": copy.deepcopy(tree)}
    for _ in range(draw.randint(1, 3)):
        place, key = draw.choice([*_places(made)])
        match draw.randrange(6):
            case 0:
                del place[key]
            case 1:
                other, elsewhere = draw.choice([*_places(made)])
                place[key] = copy.deepcopy(other[elsewhere])
            case 2 if isinstance(place, dict):
                place[draw.choice([f"{key}x", str(key).upper(), *TEXTS])] = place.pop(key)
            case 3 if isinstance(place[key], str) and place[key]:
                text = mutated_bytes(draw, place[key].encode(errors="replace"), b"")
                place[key] = text.decode(errors="replace")
            case 4 if isinstance(place[key], int | float):
                place[key] = draw.choice((-place[key], place[key] * 10**6, str(place[key]), place[key] + 0.5))
            case _:
                place[key] = copy.deepcopy(draw.choice(VALUES))
        if "" not in made:
            return None
    return made[""]


def _places(tree: Any) -> Iterator[tuple[Any, Any]]:
    """Every place of a tree, as what holds it and its key there."""
    keys: Sequence[Any] = [*tree] if isinstance(tree, dict) else range(len(tree)) if isinstance(tree, list) else ()
    for key in keys:
        yield tree, key
        yield from _places(tree[key])


def _flip(draw: random.Random, made: bytearray, _: bytes) -> None:
    if made:
        made[draw.randrange(len(made))] ^= 1 << draw.randrange(8)


def _flip_early(draw: random.Random, made: bytearray, _: bytes) -> None:
    """In the first bytes, where formats keep their headers."""
    if made:
        made[draw.randrange(min(len(made), 64))] = draw.randrange(256)


def _integer(draw: random.Random, made: bytearray, _: bytes) -> None:
    size, order = draw.choice((1, 2, 4, 8)), draw.choice("<>")
    value = draw.choice(INTEGERS) & (2 ** (8 * size) - 1)
    if len(made) >= size:
        at = draw.randrange(len(made) - size + 1)
        made[at : at + size] = struct.pack(order + {1: "B", 2: "H", 4: "I", 8: "Q"}[size], value)


def _delete(draw: random.Random, made: bytearray, _: bytes) -> None:
    del made[_span(draw, made)]


def _repeat(draw: random.Random, made: bytearray, _: bytes) -> None:
    span = _span(draw, made)
    made[span.start : span.start] = made[span] * draw.choice((1, 1, 2, 5, 50))


def _swap(draw: random.Random, made: bytearray, _: bytes) -> None:
    one, another = _span(draw, made), _span(draw, made)
    made[one], made[another] = made[another], made[one]


def _insert(draw: random.Random, made: bytearray, _: bytes) -> None:
    new = draw.choice((draw.choice(TEXTS).encode(), str(draw.choice(INTEGERS)).encode(), draw.randbytes(4), bytes(8)))
    at = draw.randint(0, len(made))
    made[at:at] = new


def _splice(draw: random.Random, made: bytearray, other: bytes) -> None:
    at = draw.randint(0, len(made))
    made[at : at + draw.choice((0, LONGEST_SPAN))] = other[_span(draw, other)]


def _truncate(draw: random.Random, made: bytearray, _: bytes) -> None:
    if draw.random() < 0.3:  # or few inputs would keep their ends
        del made[draw.randint(0, len(made)) :]


def _repeat_line(draw: random.Random, made: bytearray, _: bytes) -> None:
    lines = made.splitlines(keepends=True)
    if lines:
        lines.insert(draw.randint(0, len(lines)), draw.choice(lines))
        made[:] = b"".join(lines)


def _span(draw: random.Random, content: bytes | bytearray) -> slice:
    start = draw.randint(0, len(content))
    return slice(start, min(len(content), start + draw.randint(1, draw.choice((4, LONGEST_SPAN)))))


EDITS: tuple[Edit, ...] = (
    *(_flip, _flip_early, _integer, _integer, _delete, _repeat, _swap),
    *(_insert, _splice, _truncate, _repeat_line),
)
