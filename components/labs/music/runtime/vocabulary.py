"""The characters that a music model knows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from components.errors import UserError


class Vocabulary:
    """The characters of the training data, in the order of the model's ids."""

    def __init__(self, characters: Sequence[str]) -> None:
        self.characters = tuple(characters)
        self._ids = {character: index for index, character in enumerate(self.characters)}

    def __len__(self) -> int:
        return len(self.characters)

    def encode(self, text: str) -> np.ndarray:
        """ids (T,) int64. Raises UserError naming the first unknown character and where it stands."""
        try:
            return np.array([self._ids[character] for character in text], dtype=np.int64)
        except KeyError as error:
            unknown = error.args[0]
        index = text.index(unknown)
        line, column = text.count("\n", 0, index) + 1, index - text.rfind("\n", 0, index)
        raise UserError(
            f"the model does not know the character {unknown!r} (U+{ord(unknown):04X}), line {line}, column {column}: "
            f"leave it out; it knows {''.join(self.characters).strip()}"
        )

    def knows(self, text: str) -> bool:
        """Whether it has every character."""
        return set(text) <= self._ids.keys()

    def decode(self, ids: np.ndarray) -> str:
        return "".join(map(self.characters.__getitem__, ids.tolist()))
