"""Errors that are a user's to mend, said in one line."""

from components.redaction import redacted

LONGEST = 200
"""Characters of what a user wrote that an error repeats."""


def one_line(words: object, length: int = 300) -> str:
    """What somebody else's error says, in one line of at most `length` characters; its type where it says nothing."""
    return " ".join(str(words).split())[:length] or type(words).__name__


class UserError(Exception):
    """Bad input: the message is one line that says what is wrong, where, and what to do.

    The command line prints it without a traceback and exits with `exit_code`.
    """

    exit_code = 2

    def __str__(self) -> str:
        return redacted(super().__str__())


class BlockedError(UserError):
    """A gate blocked the candidate and the caller had asked for a pass."""

    exit_code = 3


class BundleError(UserError):
    """A bundle that must not be used: the message names the file and the fault."""


def shown(text: str) -> str:
    """What a user wrote, as an error repeats it: in one line, no longer than LONGEST, without a terminal's commands."""
    text = text if text.isprintable() else repr(text)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}..."
