"""What can go wrong between a file and the places that may have it."""

from components.errors import UserError
from components.redaction import redacted


class UnavailableError(Exception):
    """A place does not have the file or cannot be reached: another place may. The message is one line."""

    def __str__(self) -> str:
        return redacted(super().__str__())


class WrongHashError(UserError):
    """A file is not the one that was declared."""
