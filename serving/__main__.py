"""Serves one lab, or all of them: `python -m serving --help`."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import typer

from components.apis import api_of
from components.errors import UserError


def main(arguments: Sequence[str]) -> None:
    """arguments: a lab and the options of its API; or only options, for all labs on one port."""
    if not arguments or arguments[0].startswith("-"):
        from serving.core import front_page
        from serving.core.server import command

        command(front_page.main, arguments)
        return
    lab, *options = arguments
    try:
        api = api_of(lab)
    except UserError as error:
        typer.echo(f"error: {error}", err=True)
        sys.exit(error.exit_code)
    from serving.core.server import run
    from serving.core.service import champion, definition

    run(definition(api), champion(lab), options)


if __name__ == "__main__":
    main(sys.argv[1:])
