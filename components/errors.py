"""Errors that are a user's to mend, said in one line."""


class UserError(Exception):
    """Bad input: the message is one line that says what is wrong, where, and what to do.

    The command line prints it without a traceback and exits with `exit_code`.
    """

    exit_code = 2


class BlockedError(UserError):
    """A gate blocked the candidate and the caller had asked for a pass."""

    exit_code = 3


class BundleError(UserError):
    """A bundle that must not be used: the message names the file and the fault."""
