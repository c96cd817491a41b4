"""Serves a lab, or all of them: `python -m serving --help`."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import typer

from components.apis import api_of
from components.errors import UserError

USAGE = """Usage: python -m serving [LAB] [OPTIONS]

Serves LAB: `python -m serving LAB --help` lists its options. Without LAB, every lab that has a champion is served on
one port, each below its name: `python -m serving --all --help` lists those options.
"""


def main(arguments: Sequence[str]) -> None:
    from serving.core.server import run
    from serving.core.service import champion, definition

    lab, *options = arguments
    try:
        api = api_of(lab)
    except UserError as error:
        typer.echo(f"error: {error}", err=True)
        sys.exit(error.exit_code)
    run(definition(api), champion(lab), options)


if __name__ == "__main__":
    main(sys.argv[1:])
