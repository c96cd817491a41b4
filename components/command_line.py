"""A typer app whose every error is one line."""

from __future__ import annotations

import difflib
import re
import sys
from collections.abc import Callable
from typing import Any

import typer
from typer.exceptions import TyperException

from components.errors import UserError


def run(app: typer.Typer, prepare: Callable[[], None]) -> None:
    """Runs `prepare` and the app, and exits. What the user got wrong is one line and exit code 2, or a UserError's."""
    try:
        prepare()
        if len(sys.argv) == 1:
            app()  # its help
        sys.exit(app(standalone_mode=False))
    except UserError as error:
        sys.stderr.write(f"error: {error}\n")
        sys.exit(error.exit_code)
    except TyperException as error:
        sys.stderr.write(f"error: {_usage(error)}\n")
        sys.exit(error.exit_code)


def _usage(error: TyperException) -> str:
    """What is wrong with the command, with the nearest valid name where there are names to choose from."""
    message = " ".join(error.format_message().split()).rstrip(".")
    message = message[0].lower() + message[1:]
    context: Any = getattr(error, "ctx", None)  # typer's classes of usage errors are not public
    if context is None:
        return message
    if wrong := re.match(r"no such command '(.*?)'", message):
        return _nearest("command", wrong[1], list(context.command.commands))
    if hasattr(error, "possibilities"):
        options = [name for option in context.command.get_params(context) for name in option.opts if name[0] == "-"]
        return _nearest("option", str(getattr(error, "option_name", "")), options)
    return f"{message}; `{context.command_path} --help` says what it takes"


def _nearest(kind: str, wrong: str, names: list[str]) -> str:
    near = difflib.get_close_matches(wrong, names, n=1, cutoff=0.0)
    return f"there is no {kind} '{wrong}'; did you mean '{near[0]}'?"
