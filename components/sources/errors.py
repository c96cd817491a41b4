"""What can go wrong between a file and the places that may have it."""

from components.errors import UserError


class UnavailableError(Exception):
    """A place does not have the file or cannot be reached: another place may. The message is one line."""


class WrongHashError(UserError):
    """A file is not the one that was declared."""
