"""Conversations as tokens, in ChatML: every message between `<|im_start|>role` and `<|im_end|>`. Torch-free.

What people write is text: the marks of a message inside it are spelled out in ordinary tokens and mark nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

from components.errors import UserError

if TYPE_CHECKING:
    from tokenizers import Tokenizer

START, END = "<|im_start|>", "<|im_end|>"
ROLES = ("system", "user", "assistant")


class Message(NamedTuple):
    role: str
    content: str


class Template:
    """A tokenizer that knows the marks of messages. Raises UserError where its JSON is damaged, or it lacks them."""

    def __init__(self, tokenizer: str) -> None:
        """tokenizer: JSON of the package tokenizers."""
        from tokenizers import Tokenizer

        try:
            self.tokenizer: Tokenizer = Tokenizer.from_str(tokenizer)
        except Exception as error:  # noqa: BLE001 - the package raises Exception itself
            raise UserError(f"the tokenizer is damaged: {' '.join(str(error).split())[:120]}") from None
        self.tokenizer.encode_special_tokens = True
        self.start, self.end = (self._mark(mark) for mark in (START, END))

    def text(self, text: str) -> list[int]:
        """Tokens of a text, in which no mark is special."""
        return list(self.tokenizer.encode(text, add_special_tokens=False).ids)

    def message(self, message: Message) -> list[int]:
        return [self.start, *self.text(f"{message.role}\n{message.content}"), self.end, *self.text("\n")]

    def opening(self, role: str) -> list[int]:
        """Tokens that a message of a role begins with."""
        return [self.start, *self.text(f"{role}\n")]

    def prompt(self, messages: Iterable[Message]) -> list[int]:
        """Tokens of the messages, and the beginning of the assistant's answer."""
        tokens = [token for message in messages for token in self.message(message)]
        return [*tokens, *self.opening("assistant")]

    def answer(self, text: str) -> list[int]:
        """Tokens of an answer and its end."""
        return [*self.text(text), self.end]

    def _mark(self, mark: str) -> int:
        found = self.tokenizer.token_to_id(mark)
        if found is None:
            raise UserError(f"the tokenizer lacks {mark}")
        return int(found)

    def decode(self, tokens: list[int]) -> str:
        return str(self.tokenizer.decode(tokens, skip_special_tokens=True))
