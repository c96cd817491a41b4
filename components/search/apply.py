"""Values written into params.yaml in place of the old ones: every other character, comments included, stays."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from components.errors import UserError
from components.files import write_text
from components.labs import Lab


def apply(lab: Lab, values: Mapping[str, Any], path: Path) -> None:
    """Writes values of the lab's section `train`, by their names, where a dot goes into a section.

    YAML's writers lay the whole file out anew; this replaces the values alone. Raises UserError for a value that is not
    written out in the lab's own block.
    """
    text = path.read_text(encoding="utf-8")
    block = _value(yaml.compose(text, yaml.SafeLoader), lab.name)
    places = {}
    for name, value in values.items():
        node = _value(block, "train")
        for key in name.split("."):
            node = _value(node, key)
        inside = block and node and block.start_mark.index <= node.start_mark.index < block.end_mark.index
        if node is None or not inside:
            raise UserError(
                f"{path}: {lab.name}.train.{name} is not written out there: set it to {_yaml(value)} by hand"
            )
        # A list in lines of its own, as DVC writes it, begins below its key, and may begin in the key's column.
        places[node.start_mark.index, _end(node)] = ("  " if _is_block(node) else "") + _yaml(value)
    for (first, last), new in sorted(places.items(), reverse=True):
        text = text[:first] + _in_place(text[first:last], new, text[last:])
    write_text(path, text)


def _value(node: yaml.Node | None, name: str) -> yaml.Node | None:
    pairs = node.value if isinstance(node, yaml.MappingNode) else []
    return next((value for key, value in pairs if key.value == name), None)


def _end(node: yaml.Node) -> int:
    """Where its last character is: what PyYAML calls the end of a block is where the next key begins."""
    if not _is_block(node):
        return int(node.end_mark.index)
    last = node.value[-1]
    return _end(last[1] if isinstance(last, tuple) else last)


def _is_block(node: yaml.Node) -> bool:
    return isinstance(node, yaml.CollectionNode) and not node.flow_style


def _in_place(old: str, new: str, rest: str) -> str:
    """The new value and the rest, whose comment on the same line stays in its column where there is room."""
    blanks = len(rest) - len(rest.lstrip(" "))
    if rest[blanks : blanks + 1] != "#":
        return new + rest
    return new + " " * max(1, blanks + len(old) - len(new)) + rest[blanks:]


def _yaml(value: Any) -> str:
    return yaml.safe_dump(value, default_flow_style=True, width=4096).removesuffix("...\n").strip()
